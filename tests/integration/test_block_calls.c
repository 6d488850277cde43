/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong calls of collectives with blocks and roots: what one peer can see ends there and nothing is
 * sent; what only two together can see is told to all, and the next operation is right.
 *
 * Calls that must send nothing are made by one peer alone: were one to use up a number or to say
 * anything, the next operation would not be the others' next. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "support/cluster.h"
#include "support/fixtures.h"

enum { N = 100 };
#define TOO_MANY ((size_t)1 << 41)

static uint64_t data_sent(const member *me)
{
    weft_group_stats s = {.size = sizeof(s)};
    return weft_group_get_stats(me->group, &s) == WEFT_OK ? s.body_bytes_sent : UINT64_MAX;
}

static void works(member *me)
{
    float in[N], want[N];
    fixture_fill(WEFT_F32, WEFT_SUM, 1, me->rank, 0, in, N);
    fixture_reduce(WEFT_F32, WEFT_SUM, 1, me->size, 0, want, N);
    MUST_OK(me, weft_allreduce(me->group, in, in, N, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, memcmp(in, want, sizeof(want)) == 0, "the next operation is wrong");
}

#define REFUSED(me, words, call)                                                                   \
    do {                                                                                           \
        MUST_END(me, WEFT_EINVAL, call);                                                           \
        MUST(me, strstr(weft_last_error()->message, words) != NULL, "\"%s\" lacks \"%s\"",         \
             weft_last_error()->message, words);                                                   \
    } while (0)

/* Counts of three ranks. */
static const size_t even[] = {N, N, N}, most[] = {TOO_MANY, 0, 0}, none[] = {0, 0, 0};
static const size_t halves_of_all[] = {(size_t)1 << 39, (size_t)1 << 39, 1};
static const size_t apart[] = {0, N, 2 * N}, clash[] = {0, N - 1, 2 * N}, far[] = {0, N, TOO_MANY};

static void refused_counts(member *me)
{
    static float a[3 * N], b[3 * N];
    weft_group *g = me->group;
    const uint64_t before = data_sent(me);
    REFUSED(me, "2^40", weft_gather(g, a, b, TOO_MANY, WEFT_F32, 0, NULL));
    REFUSED(me, "2^40", weft_scatter(g, a, b, ((size_t)1 << 40) / 2, WEFT_F32, 0, NULL));
    REFUSED(me, "2^40", weft_alltoall(g, a, b, SIZE_MAX, WEFT_F32, NULL));
    REFUSED(me, "2^40", weft_reduce(g, a, b, TOO_MANY, WEFT_F32, WEFT_SUM, 0, NULL));
    REFUSED(me, "input reach beyond 2^40 elements at rank 0's",
            weft_reduce_scatterv(g, a, b, most, NULL, WEFT_F32, WEFT_SUM, NULL));
    REFUSED(me, "output reach beyond 2^40 elements at rank 2's",
            weft_allgatherv(g, a, b, halves_of_all, NULL, WEFT_F32, NULL));
    REFUSED(me, "output reach beyond 2^40 elements at rank 2's",
            weft_gatherv(g, a, b, even, far, WEFT_F32, 0, NULL));
    REFUSED(me, "lengths of the blocks are missing",
            weft_allgatherv(g, a, b, NULL, NULL, WEFT_F32, NULL));
    REFUSED(me, "lengths of the blocks are missing",
            weft_gatherv(g, a, b, NULL, apart, WEFT_F32, 0, NULL));
    REFUSED(me, "lengths of the blocks are missing",
            weft_scatterv(g, a, b, NULL, NULL, WEFT_F32, 0, NULL));
    REFUSED(me, "lengths of the blocks are missing",
            weft_reduce_scatterv(g, a, b, NULL, NULL, WEFT_F32, WEFT_SUM, NULL));
    REFUSED(me, "lengths of the blocks are missing",
            weft_alltoallv(g, a, even, NULL, b, NULL, NULL, WEFT_F32, NULL));
    REFUSED(me, "lengths of the blocks are missing",
            weft_alltoallv(g, a, NULL, NULL, b, even, NULL, WEFT_F32, NULL));
    REFUSED(me, "two blocks of the output overlap at element 99",
            weft_allgatherv(g, a, b, even, clash, WEFT_F32, NULL));
    REFUSED(me, "two blocks of the output overlap at element 99",
            weft_alltoallv(g, a, even, NULL, b, even, clash, WEFT_F32, NULL));
    size_t other[] = {N, N, N};
    other[me->rank] = 1;
    REFUSED(me, "sends itself 100 elements and expects 1",
            weft_alltoallv(g, a, even, NULL, b, other, NULL, WEFT_F32, NULL));
    MUST(me, data_sent(me) == before, "something was sent");
}

static void counts_body(member *me)
{
    works(me);
    if (me->rank == 1) {
        refused_counts(me);
    }
    works(me);
}

Test(block_calls, with_impossible_counts_send_nothing)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 3, counts_body, NULL);
    }
}

static void refused_roots(member *me)
{
    static float a[3 * N], b[3 * N];
    const int bad[] = {-1, 3, 65536};
    weft_group *g = me->group;
    const uint64_t before = data_sent(me);
    for (int i = 0; i < 3; i++) {
        REFUSED(me, "root", weft_reduce(g, a, b, N, WEFT_F32, WEFT_SUM, bad[i], NULL));
        REFUSED(me, "root", weft_gather(g, a, b, N, WEFT_F32, bad[i], NULL));
        REFUSED(me, "of 3 peers", weft_scatter(g, a, b, N, WEFT_F32, bad[i], NULL));
        REFUSED(me, "of 3 peers", weft_gatherv(g, a, b, even, NULL, WEFT_F32, bad[i], NULL));
        REFUSED(me, "of 3 peers", weft_scatterv(g, a, b, even, NULL, WEFT_F32, bad[i], NULL));
        REFUSED(me, "of 3 peers", weft_broadcast(g, a, N, WEFT_F32, bad[i], NULL));
    }
    MUST(me, data_sent(me) == before, "something was sent");
}

static void roots_body(member *me)
{
    works(me);
    if (me->rank == 2) {
        refused_roots(me);
    }
    works(me);
}

Test(block_calls, with_a_root_that_there_is_not_send_nothing)
{
    cluster_run(CLUSTER_TCP, 3, roots_body, NULL);
    cluster_run(CLUSTER_MEM, 3, roots_body, NULL);
}

/* Buffers that are needed at the root, rank 1, are missing. */
static void refused_buffers(member *me)
{
    static float a[4 * N], b[4 * N];
    weft_group *g = me->group;
    const uint64_t before = data_sent(me);
    REFUSED(me, "missing (NULL)", weft_reduce(g, NULL, b, N, WEFT_F32, WEFT_SUM, 1, NULL));
    REFUSED(me, "missing (NULL)", weft_gather(g, NULL, b, N, WEFT_F32, 1, NULL));
    REFUSED(me, "missing (NULL)", weft_scatter(g, a, NULL, N, WEFT_F32, 1, NULL));
    REFUSED(me, "missing (NULL)", weft_alltoall(g, a, NULL, N, WEFT_F32, NULL));
    REFUSED(me, "missing (NULL)", weft_allgatherv(g, a, NULL, even, NULL, WEFT_F32, NULL));
    REFUSED(me, "overlap", weft_alltoall(g, a, a + 1, N, WEFT_F32, NULL));
    REFUSED(me, "overlap",
            weft_reduce_scatterv(g, a, a + me->rank * N + 1, even, NULL, WEFT_F32, WEFT_SUM, NULL));
    REFUSED(me, "cannot be exchanged in place",
            weft_alltoallv(g, a, even, NULL, a, even, NULL, WEFT_F32, NULL));
    REFUSED(me, "two blocks of the input overlap",
            weft_reduce_scatterv(g, a, a + clash[me->rank], even, clash, WEFT_F32, WEFT_SUM, NULL));
    MUST(me, data_sent(me) == before, "something was sent");
}

/* Those that are not needed may be. */
static void buffers_body(member *me)
{
    static float a[4 * N], b[4 * N];
    weft_group *g = me->group;
    const bool root = me->rank == 1;
    works(me);
    if (root) {
        refused_buffers(me);
    }
    MUST_OK(me, weft_reduce(g, a, root ? b : NULL, N, WEFT_F32, WEFT_SUM, 1, NULL));
    MUST_OK(me, weft_gather(g, a, root ? b : NULL, N, WEFT_F32, 1, NULL));
    MUST_OK(me, weft_scatter(g, root ? a : NULL, b, N, WEFT_F32, 1, NULL));
    MUST_OK(me, weft_gatherv(g, a, root ? b : NULL, even, NULL, WEFT_F32, 1, NULL));
    MUST_OK(me, weft_allgather(g, NULL, NULL, 0, WEFT_F32, NULL));
    MUST_OK(me, weft_alltoallv(g, NULL, none, NULL, NULL, none, NULL, WEFT_F32, NULL));
    MUST_OK(me, weft_scatterv(g, NULL, NULL, none, NULL, WEFT_F32, 1, NULL));
    /* Out of place, blocks of the input may share elements. */
    MUST_OK(me, weft_reduce_scatterv(g, a, b, even, clash, WEFT_F32, WEFT_SUM, NULL));
    works(me);
}

Test(block_calls, need_the_buffers_that_they_use_and_no_others)
{
    cluster_run(CLUSTER_TCP, 3, buffers_body, NULL);
    cluster_run(CLUSTER_IPC, 3, buffers_body, NULL);
}

/* The odd rank says something else of the lengths. */
typedef struct lie {
    int kind, odd;
} lie;
enum { ALLGATHERV, REDUCE_SCATTERV, SENDS_MORE, SENDS_LESS, EXPECTS_MORE, EXPECTS_NOTHING, KINDS };

static int tell(member *me, int kind, bool odd, float *a, float *b)
{
    const int next = (me->rank + 1) % me->size;
    size_t counts[CLUSTER_MAX], goes[CLUSTER_MAX], comes[CLUSTER_MAX];
    for (int r = 0; r < me->size; r++) {
        counts[r] = (size_t)r * N + (odd && r == 2);
        goes[r] = (size_t)(me->rank + r) * N;
        comes[r] = goes[r];
    }
    goes[next] += odd && kind == SENDS_MORE ? 1 : 0;
    goes[next] -= odd && kind == SENDS_LESS ? 1 : 0;
    comes[next] += odd && kind == EXPECTS_MORE ? 70000 : 0;
    comes[next] = odd && kind == EXPECTS_NOTHING ? 0 : comes[next];
    switch (kind) {
    case ALLGATHERV:
        return weft_allgatherv(me->group, a, b, counts, NULL, WEFT_F32, NULL);
    case REDUCE_SCATTERV:
        return weft_reduce_scatterv(me->group, a, b, counts, NULL, WEFT_F32, WEFT_SUM, NULL);
    default:
        return weft_alltoallv(me->group, a, goes, NULL, b, comes, NULL, WEFT_F32, NULL);
    }
}

static void lies_body(member *me)
{
    float *a = calloc(100000, sizeof(*a)), *b = calloc(100000, sizeof(*b));
    for (int kind = 0; kind < KINDS; kind++) {
        for (int odd = 0; odd < me->size; odd++) {
            MUST_OK(me, tell(me, kind, false, a, b));
            const int code = tell(me, kind, me->rank == odd, a, b);
            const char *text = weft_last_error()->message;
            MUST(me, code == WEFT_EMISMATCH, "kind %d, odd %d: %s", kind, odd,
                 weft_status_name(code));
            MUST(me, strstr(text, kind < SENDS_MORE ? "counts=" : "does not send the") != NULL,
                 "kind %d: %s", kind, text);
            works(me);
        }
    }
    free(a);
    free(b);
}

Test(block_calls, of_other_lengths_are_told_to_every_peer)
{
    cluster_run(CLUSTER_TCP, 4, lies_body, NULL);
    cluster_run(CLUSTER_IPC, 3, lies_body, NULL);
    cluster_run(CLUSTER_MEM, 5, lies_body, NULL);
}

/* Of a collective with a root a peer may be through before the difference is seen; then it has done
 * its part. The others are told, and nobody waits. */
static void rooted_body(member *me)
{
    static float a[8 * N], b[8 * N];
    for (int odd = 0; odd < me->size; odd++) {
        for (int kind = 0; kind < 4; kind++) {
            size_t counts[CLUSTER_MAX];
            for (int r = 0; r < me->size; r++) {
                counts[r] = N + (me->rank == odd && r == odd);
            }
            const int root = kind == 3 && me->rank == odd ? 1 : 0;
            const int code =
                kind == 0   ? weft_gatherv(me->group, a, b, counts, NULL, WEFT_F32, 0, NULL)
                : kind == 1 ? weft_scatterv(me->group, a, b, counts, NULL, WEFT_F32, 0, NULL)
                : kind == 2 ? weft_reduce(me->group, a, b, counts[odd], WEFT_F32, WEFT_SUM, 0, NULL)
                            : weft_reduce(me->group, a, b, N, WEFT_F32, WEFT_SUM, root, NULL);
            MUST(me, code == WEFT_OK || code == WEFT_EMISMATCH, "kind %d, odd %d: %s", kind, odd,
                 weft_last_error()->message);
            /* Rank 0 waits for the odd one, or for one that the odd one lets wait. */
            const bool waits = me->rank == 0 && kind != 1 && (kind != 3 || odd != 0);
            MUST(me, code == WEFT_EMISMATCH || !waits, "kind %d, odd %d: the root was not told",
                 kind, odd);
            works(me);
        }
    }
}

Test(block_calls, with_a_root_and_other_lengths_keep_nobody_waiting)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 4, rooted_body, NULL);
    }
}
