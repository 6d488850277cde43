/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_check.h"
#include "report.h"

/* Adaptive: at least so many iterations, then until so many seconds are measured. */
enum { ITERS_LEAST = 5, ITERS_MOST = 20000, ALIGNMENT = 64 };
static const double seconds_wanted = 0.3;

void weft_bench_shape(const weft_bench_settings *s, int size, size_t bytes, weft_bench_row *row)
{
    const size_t cell = weft_dtype_bytes(s->dtype);
    row->blocks = weft_bench_blocks_of(s->kind, size, bytes / cell);
    row->count = weft_bench_longest(&row->blocks);
    row->bytes = weft_bench_all_elements(&row->blocks) * cell;
}

/* A buffer whose pages are all there. */
static void *touched(size_t bytes)
{
    const size_t whole = (bytes / ALIGNMENT + 1) * ALIGNMENT;
    void *ret = aligned_alloc(ALIGNMENT, whole);
    if (ret != NULL) {
        (void)memset(ret, 0x5a, whole);
    }
    return ret;
}

/* A field of /proc/self/status in bytes: "VmRSS", "VmHWM". */
static bool read_status(const char *field, uint64_t *ret)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        unsigned long long kib = 0;
        char name[64];
        if (sscanf(line, "%63[^:]: %llu kB", name, &kib) == 2 && strcmp(name, field) == 0) {
            *ret = (uint64_t)kib * 1024;
            found = true;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

/* From now on VmHWM is the peak since now (proc(5), clear_refs). */
static bool reset_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "we");
    const bool written = file != NULL && fputs("5\n", file) != EOF;
    return file != NULL && fclose(file) == 0 && written;
}

/* Bytes that a side may take at the largest size; in place the other's own block lies in it. */
static size_t side_bytes(const weft_bench_peer *b, bool input)
{
    weft_bench_row largest = {0};
    weft_bench_shape(b->s, b->peer->size, b->s->end, &largest);
    const size_t elements = weft_bench_side_length(&largest.blocks, input, b->peer->rank);
    const size_t bytes = elements * weft_dtype_bytes(b->s->dtype);
    return bytes > 0 ? bytes : 1;
}

int weft_bench_prepare(weft_bench_peer *b)
{
    const weft_bench_settings *s = b->s;
    weft_peer *peer = b->peer;
    const bool in = weft_kind_has_in(s->kind, peer->rank, s->root) && !s->kind->one_buffer;
    const bool out = weft_kind_has_out(s->kind, peer->rank, s->root);
    const size_t ins = side_bytes(b, true), outs = side_bytes(b, false);
    b->times_cap = s->iters > 0 ? (size_t)s->iters : ITERS_MOST;
    b->times = touched(b->times_cap * sizeof(*b->times));
    b->data = calloc(1, sizeof(*b->data));
    b->in_counts = calloc((size_t)peer->size, sizeof(*b->in_counts));
    b->out_counts = calloc((size_t)peer->size, sizeof(*b->out_counts));
    b->in = in ? touched(ins) : NULL;
    b->out = out ? touched(outs) : NULL;
    b->own = s->lossy ? touched(outs) : NULL;
    if (b->times == NULL || b->data == NULL || b->in_counts == NULL || b->out_counts == NULL ||
        (in && b->in == NULL) || (out && b->out == NULL) || (s->lossy && b->own == NULL)) {
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "no memory for buffers of %zu bytes",
                              ins > outs ? ins : outs);
    }
    weft_bench_data_init(b->data, s->dtype, s->op, peer->size, s->lossy);
    if (s->rss && (!reset_peak() || !read_status("VmRSS", &b->rss_base))) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE,
                              "--rss: /proc/self/clear_refs or status cannot be used here");
    }
    return 0;
}

void weft_bench_release(weft_bench_peer *b)
{
    free(b->times);
    free(b->data);
    free(b->in_counts);
    free(b->out_counts);
    free(b->in);
    free(b->out);
    free(b->own);
}

/* Where input and output of the call begin. In place one lies in the other; a rank that has one
 * side only has no other way. */
static unsigned char *side_at(const weft_bench_peer *b, const weft_bench_row *row, bool inplace,
                              bool input)
{
    const weft_kind *k = b->s->kind;
    const int rank = b->peer->rank;
    const bool larger = input ? k->in_blocks && !k->out_blocks : k->out_blocks || !k->in_blocks;
    unsigned char *own = input ? b->in : b->out, *other = input ? b->out : b->in;
    if (!inplace || larger || own == NULL || other == NULL) {
        return own;
    }
    /* The own block of the other side, where that has more of them. */
    const bool within = (input ? k->out_blocks : k->in_blocks) && k->in_blocks != k->out_blocks;
    const size_t before = within ? weft_bench_block_offset(&row->blocks, !input, rank, rank) : 0;
    return other + before * weft_dtype_bytes(b->s->dtype);
}

/* Put the known values where the call reads, and what cannot be right where it writes. */
static void set_buffers(weft_bench_peer *b, const weft_bench_row *row, bool inplace)
{
    const weft_bench_settings *s = b->s;
    const int rank = b->peer->rank;
    const size_t cell = weft_dtype_bytes(s->dtype);
    const bool reads = weft_kind_has_in(s->kind, rank, s->root);
    unsigned char *from = side_at(b, row, inplace, !s->kind->one_buffer);
    if (b->out != NULL) {
        (void)memset(b->out, 0x5a, weft_bench_side_length(&row->blocks, false, rank) * cell);
    }
    if (reads && from != NULL) {
        weft_bench_fill(b->data, rank, 0, weft_bench_side_length(&row->blocks, true, rank), from);
    }
}

static int call(weft_bench_peer *b, weft_bench_row *row, bool inplace, float *own)
{
    const weft_bench_settings *s = b->s;
    /* One draw for all iterations: their results must be equal bit for bit. */
    weft_coll_opts opts = {.size = sizeof(opts),
                           .algo = s->algo,
                           .codec = s->codec,
                           .own = own,
                           .draw = 1,
                           .receipt = &row->receipt};
    const weft_kind_args args = {.in = side_at(b, row, inplace, true),
                                 .out = side_at(b, row, inplace, false),
                                 .count = row->count,
                                 .in_counts = b->in_counts,
                                 .out_counts = b->out_counts,
                                 .dtype = s->dtype,
                                 .op = s->op,
                                 .root = s->root,
                                 .opts = &opts};
    row->receipt.size = sizeof(row->receipt);
    return s->kind->call(b->peer->group, &args);
}

/* The lengths of the row's blocks, as the calls take them. */
static void set_counts(weft_bench_peer *b, const weft_bench_row *row)
{
    for (int side = 0; side < 2; side++) {
        size_t *counts = side == 0 ? b->in_counts : b->out_counts;
        for (int i = 0; i < weft_bench_block_count(&row->blocks, side == 0); i++) {
            counts[i] = weft_bench_block_length(&row->blocks, side == 0, b->peer->rank, i);
        }
    }
}

/* Iterations first … last - 1, each between barriers. Buffers are set before each one that would
 * not find its input as it was, and before the last, whose result is checked. */
static int iterate(weft_bench_peer *b, weft_bench_row *row, bool inplace, size_t first, size_t last)
{
    const weft_kind *k = b->s->kind;
    const bool eats_input = inplace && (k->reduces || k->in_blocks == k->out_blocks);
    for (size_t i = first; i < last; i++) {
        if (eats_input || i == first || i + 1 == last) {
            set_buffers(b, row, inplace);
        }
        if (weft_barrier(b->peer->group, NULL) != WEFT_OK) {
            return weft_peer_error(b->peer, "barrier before the operation");
        }
        const double start = weft_seconds();
        if (call(b, row, inplace, NULL) != WEFT_OK) {
            return weft_peer_error(b->peer, b->s->kind->name);
        }
        b->times[i] = weft_seconds() - start;
    }
    /* An operation takes as long as its slowest peer. */
    double *times = b->times + first;
    if (last > first && weft_allreduce(b->peer->group, times, times, last - first, WEFT_F64,
                                       WEFT_MAX, NULL) != WEFT_OK) {
        return weft_peer_error(b->peer, "collecting the times");
    }
    return 0;
}

/* How many more iterations, after the first few; alike on all peers because the times are. */
static size_t iterations_wanted(const weft_bench_peer *b, size_t done)
{
    double sum = 0.0;
    for (size_t i = 0; i < done; i++) {
        sum += b->times[i];
    }
    const double wanted = seconds_wanted / (sum / (double)done);
    return wanted < (double)done           ? done
           : wanted > (double)b->times_cap ? b->times_cap
                                           : (size_t)wanted;
}

static int time_it(weft_bench_peer *b, weft_bench_row *row, bool inplace, weft_bench_timing *ret)
{
    const weft_bench_settings *s = b->s;
    size_t n = s->iters > 0 ? (size_t)s->iters : ITERS_LEAST;
    for (int64_t i = 0; i < s->warmup; i++) {
        set_buffers(b, row, inplace);
        if (call(b, row, inplace, NULL) != WEFT_OK) {
            return weft_peer_error(b->peer, s->kind->name);
        }
    }
    if (b->peer->rank == 0) {
        weft_progress("%s of %zu bytes%s …", s->kind->name, row->bytes,
                      inplace ? ", in place" : "");
    }
    int bad = iterate(b, row, inplace, 0, n);
    if (bad == 0 && s->iters == 0) {
        const size_t more = iterations_wanted(b, n);
        bad = iterate(b, row, inplace, n, more);
        n = more;
    }
    if (bad != 0) {
        return bad;
    }
    ret->iters = n;
    ret->mean = 0.0;
    for (size_t i = 0; i < n; i++) {
        ret->mean += b->times[i] / (double)n;
    }
    ret->median = weft_median(b->times, n);
    ret->p99 = weft_percentile(b->times, n, 99.0);
    ret->least = b->times[0]; /* sorted now */
    return 0;
}

/* Byte counts over all peers, and memory. */
static int collect(weft_bench_peer *b, weft_bench_row *row)
{
    const weft_receipt *r = &row->receipt;
    weft_group *group = b->peer->group;
    uint64_t sums[3] = {r->encoded_bytes, r->body_bytes_sent, r->wire_bytes_sent};
    uint64_t most[2] = {r->body_bytes_sent, 0};
    if (b->s->rss) {
        uint64_t peak = 0;
        if (!read_status("VmHWM", &peak)) {
            return weft_peer_fail(b->peer, WEFT_EXIT_USAGE, "--rss: no VmHWM in /proc/self/status");
        }
        most[1] = peak > b->rss_base ? peak - b->rss_base : 0;
    }
    if (weft_allreduce(group, sums, sums, 3, WEFT_U64, WEFT_SUM, NULL) != WEFT_OK ||
        weft_allreduce(group, most, most, 2, WEFT_U64, WEFT_MAX, NULL) != WEFT_OK) {
        return weft_peer_error(b->peer, "collecting the byte counts");
    }
    const double n = b->peer->size;
    row->encoded_mean = (double)sums[0] / n;
    row->body_mean = (double)sums[1] / n;
    row->wire_mean = (double)sums[2] / n;
    row->body_max = most[0];
    row->rss_growth = most[1];
    return 0;
}

/* Count the wrong elements of the last timed call. A lossy operation is run once more with the same
 * draw to learn what each peer's contribution was decoded to. */
static int check(weft_bench_peer *b, weft_bench_row *row, bool inplace, uint64_t *ret)
{
    const weft_bench_settings *s = b->s;
    const void *got = side_at(b, row, inplace, false);
    uint64_t wrong = 0;
    int bad = 0;
    if (!s->lossy) {
        wrong = weft_bench_wrong_dense(b, row, got);
    } else {
        const size_t len = row->count * sizeof(float);
        const uint64_t timed = weft_bench_hash(got, len);
        weft_bench_row again = *row;
        set_buffers(b, row, inplace);
        if (call(b, &again, inplace, b->own) != WEFT_OK) {
            return weft_peer_error(b->peer, s->kind->name);
        }
        if (weft_bench_hash(got, len) != timed) {
            wrong = row->count; /* the same draw gave other bits */
        }
        bad = weft_bench_wrong_lossy(b, row, got, &wrong);
    }
    if (bad == 0 &&
        weft_allreduce(b->peer->group, &wrong, ret, 1, WEFT_U64, WEFT_SUM, NULL) != WEFT_OK) {
        bad = weft_peer_error(b->peer, "collecting the check");
    }
    return bad;
}

int weft_bench_measure(weft_bench_peer *b, weft_bench_row *row)
{
    set_counts(b, row);
    int bad = time_it(b, row, false, &row->out_of_place);
    bad = bad != 0 ? bad : collect(b, row);
    bad = bad != 0 ? bad : check(b, row, false, &row->out_of_place.wrong);
    if (b->s->inplace) {
        bad = bad != 0 ? bad : time_it(b, row, true, &row->in_place);
        bad = bad != 0 ? bad : check(b, row, true, &row->in_place.wrong);
    }
    return bad;
}
