/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_buffers.h"
#include "bench_check.h"
#include "bench_flight.h"
#include "report.h"

/* Adaptive: at least so many iterations, then until so many seconds are measured. */
enum { ITERS_LEAST = 5, ITERS_MOST = 20000 };
static const double seconds_wanted = 0.3;

void weft_bench_shape(const weft_bench_settings *s, int size, size_t bytes, weft_bench_row *row)
{
    const size_t cell = weft_dtype_bytes(s->dtype);
    row->blocks = weft_bench_blocks_of(s->kind, size, bytes / cell);
    row->count = weft_bench_longest(&row->blocks);
    row->bytes = weft_bench_all_elements(&row->blocks) * cell;
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

static int make_regions(weft_bench_peer *b)
{
    const size_t n = b->s->at_once;
    int code = WEFT_OK;
    b->regions = calloc(n, sizeof(weft_regions *));
    for (size_t k = 0; k < n && b->regions != NULL && code == WEFT_OK; k++) {
        code = weft_regions_open(&b->regions[k]);
    }
    return b->regions != NULL && code == WEFT_OK
               ? 0
               : weft_peer_fail(b->peer, WEFT_EXIT_WRONG, "out of memory for regions");
}

int weft_bench_prepare(weft_bench_peer *b)
{
    const weft_bench_settings *s = b->s;
    weft_peer *peer = b->peer;
    b->times_cap = s->iters > 0 ? (size_t)s->iters : ITERS_MOST;
    b->times = malloc(b->times_cap * sizeof(*b->times));
    b->data = calloc(1, sizeof(*b->data));
    b->in_counts = calloc((size_t)peer->size, sizeof(*b->in_counts));
    b->out_counts = calloc((size_t)peer->size, sizeof(*b->out_counts));
    b->started = calloc(s->at_once, sizeof(*b->started));
    b->receipts = calloc(s->at_once, sizeof(*b->receipts));
    if (b->times == NULL || b->data == NULL || b->in_counts == NULL || b->out_counts == NULL ||
        b->started == NULL || b->receipts == NULL) {
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
    }
    int bad = s->regions ? make_regions(b) : 0;
    bad = bad != 0 ? bad : weft_bench_make_buffers(b);
    if (bad != 0) {
        return bad;
    }
    (void)memset(b->times, 0, b->times_cap * sizeof(*b->times)); /* its pages are there: --rss */
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
    free(b->started);
    free(b->receipts);
    for (size_t k = 0; b->regions != NULL && k < b->s->at_once; k++) {
        weft_regions_close(&b->regions[k]);
    }
    free(b->regions);
    weft_bench_free_buffers(b);
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
            weft_bench_set_buffers(b, row, inplace);
        }
        if (weft_barrier(b->peer->group, NULL) != WEFT_OK) {
            return weft_peer_error(b->peer, "barrier before the operation");
        }
        const double start = weft_seconds();
        const int bad = weft_bench_fly(b, row, inplace);
        if (bad != 0) {
            return bad;
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
        weft_bench_set_buffers(b, row, inplace);
        const int bad = weft_bench_fly(b, row, inplace);
        if (bad != 0) {
            return bad;
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

/* Wrong elements of one operation of the last timed call. A lossy one is run once more with the
 * same draw to learn what each peer's contribution was decoded to. */
static int check_one(weft_bench_peer *b, const weft_bench_row *row, bool inplace, size_t operation,
                     uint64_t *wrong)
{
    const void *got = weft_bench_side(b, row, inplace, false, operation);
    if (!b->s->lossy) {
        *wrong += weft_bench_wrong_dense(b, row, operation, got);
        return 0;
    }
    const size_t len = row->count * sizeof(float);
    const uint64_t timed = weft_bench_hash(got, len);
    weft_bench_set_buffer(b, row, inplace, operation);
    /* Where sums are encoded again no contribution is decoded by itself. */
    const bool again = strcmp(row->receipt.fidelity, "requantized") == 0;
    int bad = weft_bench_call_alone(b, row, inplace, operation, again ? NULL : b->own);
    if (bad == 0) {
        /* The same draw gave other bits? Where regions are kept, each call goes on from the last.
         */
        *wrong += b->regions == NULL && weft_bench_hash(got, len) != timed ? row->count : 0;
        bad = weft_bench_wrong_lossy(b, row, operation, got, wrong);
    }
    return bad;
}

/* Count the wrong elements of the last timed call. */
static int check(weft_bench_peer *b, const weft_bench_row *row, bool inplace, uint64_t *ret)
{
    uint64_t wrong = 0;
    int bad = 0;
    for (size_t k = 0; k < b->s->at_once && bad == 0; k++) {
        bad = check_one(b, row, inplace, k, &wrong);
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
