/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <weft/codec.h>

#include "bench_buffers.h"

enum { SLICE = 65536 };
/* E|Q(v)-v|^2 <= omega |v|^2 holds in the mean; one draw of a short vector may lie above. */
static const double omega_slack = 4.0;

/* Of copies: the block's elements are those of some rank's input, from some place on. */
static uint64_t wrong_copies(const weft_bench_peer *b, const weft_bench_row *row, size_t begin,
                             const void *got)
{
    const weft_bench_blocks *all = &row->blocks;
    const weft_kind *k = b->s->kind;
    const size_t cell = weft_dtype_bytes(b->s->dtype);
    const int rank = b->peer->rank;
    const unsigned char *at = got;
    uint64_t wrong = 0;
    for (int i = 0; i < weft_bench_block_count(all, false); i++) {
        const int from = k->to_next      ? (rank + all->size - 1) % all->size
                         : k->in_of_root ? b->s->root
                                         : i;
        const size_t first = k->in_blocks ? weft_bench_block_offset(all, true, from, rank) : 0;
        const size_t count = weft_bench_block_length(all, false, rank, i);
        wrong += weft_bench_wrong_copy(b->data, from, begin + first, count, at);
        at += count * cell;
    }
    return wrong;
}

uint64_t weft_bench_wrong_dense(const weft_bench_peer *b, const weft_bench_row *row,
                                size_t operation, const void *got)
{
    const weft_kind *k = b->s->kind;
    const int rank = b->peer->rank;
    const size_t begin = weft_bench_first(operation);
    if (k->empty || !weft_kind_has_out(k, rank, b->s->root)) {
        return 0;
    }
    if (!k->reduces) {
        return wrong_copies(b, row, begin, got);
    }
    const size_t first = k->in_blocks ? weft_bench_block_offset(&row->blocks, true, rank, rank) : 0;
    return weft_bench_wrong_reduced(b->data, begin + first,
                                    weft_bench_side_length(&row->blocks, false, rank), got);
}

/* Elements of one slice that are not rank 0's. */
static int differ_from_first(const weft_bench_peer *b, const float *got, size_t n, float *scratch,
                             uint64_t *wrong)
{
    (void)memcpy(scratch, got, n * sizeof(float));
    if (weft_broadcast(b->peer->group, scratch, n, WEFT_F32, 0, NULL) != WEFT_OK) {
        return weft_peer_error(b->peer, "broadcast of rank 0's result");
    }
    for (size_t i = 0; i < n; i++) {
        *wrong += memcmp(scratch + i, got + i, sizeof(float)) != 0;
    }
    return 0;
}

/* Elements of one slice that are not the sum of the decoded contributions. sums: 2 n doubles. */
static int differ_from_sum(const weft_bench_peer *b, const float *got, const float *own, size_t n,
                           double *sums, uint64_t *wrong)
{
    const double peers = b->peer->size;
    const double scale = b->s->op == WEFT_MEAN ? 1.0 / peers : 1.0;
    for (size_t i = 0; i < n; i++) {
        sums[i] = (double)own[i];
        sums[n + i] = fabs((double)own[i]);
    }
    if (weft_allreduce(b->peer->group, sums, sums, 2 * n, WEFT_F64, WEFT_SUM, NULL) != WEFT_OK) {
        return weft_peer_error(b->peer, "sum of the decoded contributions");
    }
    for (size_t i = 0; i < n; i++) {
        /* P - 1 additions and a division, each rounded to 24 bits. */
        const double room = (peers + 1.0) * 0x1p-24 * sums[n + i] * scale;
        *wrong += !(fabs((double)got[i] - sums[i] * scale) <= room);
    }
    return 0;
}

/* Is this peer's own encoding error within the codec's bound? */
static int within_omega(const weft_bench_peer *b, size_t operation, size_t count, bool *ret)
{
    weft_codec *codec = NULL;
    float *in = malloc(WEFT_BENCH_PERIOD * sizeof(*in));
    double omega = 0.0, error = 0.0, norm = 0.0;
    int bad = 0;
    *ret = true;
    if (in == NULL) {
        bad = weft_peer_fail(b->peer, WEFT_EXIT_WRONG, "out of memory");
    } else if (weft_codec_open(&codec, b->s->codec) != WEFT_OK ||
               weft_codec_omega(codec, count, &omega) != WEFT_OK) {
        bad = weft_peer_error(b->peer, "the codec's bound");
    } else {
        weft_bench_fill(b->data, b->peer->rank, weft_bench_first(operation), WEFT_BENCH_PERIOD, in);
        for (size_t i = 0; i < count; i++) {
            const double v = (double)in[i % WEFT_BENCH_PERIOD];
            const double lost = (double)b->own[i] - v;
            error += lost * lost;
            norm += v * v;
        }
        *ret = error <= omega_slack * omega * norm;
    }
    weft_codec_close(&codec);
    free(in);
    return bad;
}

/* Elements of one slice that are not what the majority of signs is for. sums: 2 n doubles. */
static int differ_from_vote(const weft_bench_peer *b, const float *got, const float *own, size_t n,
                            double *sums, uint64_t *wrong)
{
    for (size_t i = 0; i < n; i++) {
        sums[i] = (double)own[i];
    }
    if (weft_allreduce(b->peer->group, sums, sums, n, WEFT_F64, WEFT_SUM, NULL) != WEFT_OK) {
        return weft_peer_error(b->peer, "sum of the votes");
    }
    for (size_t i = 0; i < n; i++) {
        const double v = (double)got[i];
        *wrong += !(sums[i] > 0 ? v == 1.0 : sums[i] < 0 ? v == -1.0 : fabs(v) <= 1.0);
    }
    return 0;
}

/* Of results that are no sum of decoded contributions: elements that are not finite. */
static void count_infinite(const float *got, size_t n, uint64_t *wrong)
{
    for (size_t i = 0; i < n; i++) {
        *wrong += !isfinite(got[i]);
    }
}

static int check_slice(const weft_bench_peer *b, const char *fidelity, const float *got,
                       const float *own, size_t n, double *sums, uint64_t *wrong)
{
    if (strcmp(fidelity, "exact") == 0) {
        return differ_from_sum(b, got, own, n, sums, wrong);
    }
    if (strcmp(fidelity, "voted") == 0) {
        return differ_from_vote(b, got, own, n, sums, wrong);
    }
    count_infinite(got, n, wrong);
    return 0;
}

int weft_bench_wrong_lossy(weft_bench_peer *b, const weft_bench_row *row, size_t operation,
                           const void *got, uint64_t *wrong)
{
    float *scratch = malloc(SLICE * sizeof(*scratch));
    double *sums = malloc(2 * SLICE * sizeof(*sums));
    bool bounded = true;
    int bad = 0;
    if (scratch == NULL || sums == NULL) {
        free(scratch);
        free(sums);
        return weft_peer_fail(b->peer, WEFT_EXIT_WRONG, "out of memory");
    }
    for (size_t at = 0; bad == 0 && at < row->count; at += SLICE) {
        const size_t n = row->count - at < SLICE ? row->count - at : SLICE;
        const float *part = (const float *)got + at;
        bad = differ_from_first(b, part, n, scratch, wrong);
        bad = bad != 0 ? bad
                       : check_slice(b, row->receipt.fidelity, part, b->own + at, n, sums, wrong);
    }
    if (bad == 0 && b->s->unbiased && strcmp(row->receipt.fidelity, "exact") == 0) {
        bad = within_omega(b, operation, row->count, &bounded);
        *wrong += bounded ? 0 : row->count;
    }
    free(scratch);
    free(sums);
    return bad;
}
