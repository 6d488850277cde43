/* SPDX-License-Identifier: Apache-2.0 */
/* Send and receive by real peers: order by tag, lengths, both ways at once, what waits and what is
 * bounded. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "support/cluster.h"

/* Word i of what a rank sends with a tag for the n-th time. */
static uint32_t word(int from, uint32_t tag, uint32_t n, size_t i)
{
    return (uint32_t)from * 2654435761u ^ tag * 40503u ^ n * 9973u ^ (uint32_t)i;
}

static uint32_t *letter(int from, uint32_t tag, uint32_t n, size_t count)
{
    uint32_t *v = malloc((count + 1) * sizeof(*v));
    for (size_t i = 0; i < count; i++) {
        v[i] = word(from, tag, n, i);
    }
    return v;
}

static bool is_letter(const uint32_t *v, int from, uint32_t tag, uint32_t n, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (v[i] != word(from, tag, n, i)) {
            return false;
        }
    }
    return true;
}

static void send_letter(member *me, weft_group *g, int to, uint32_t tag, uint32_t n, size_t count)
{
    uint32_t *v = letter(me->rank, tag, n, count);
    MUST_OK(me, weft_send(g, v, count, WEFT_U32, to, tag, NULL));
    free(v);
}

/* from: its rank in the group; sender: in the opened one. */
static void recv_letter(member *me, weft_group *g, int from, int sender, uint32_t tag, uint32_t n,
                        size_t count)
{
    uint32_t *v = calloc(count + 1, sizeof(*v));
    MUST_OK(me, weft_recv(g, v, count, WEFT_U32, from, tag, NULL));
    MUST(me, is_letter(v, sender, tag, n, count) && v[count] == 0,
         "tag %u, message %u of %zu from rank %d is another", tag, n, count, sender);
    free(v);
}

/* ---- one after another ----------------------------------------------------------------------- */

static const size_t lengths[] = {1, 0, 7, 1000, 16384, 16385, 70000, 1, 300000, 0, 2};
enum { LENGTHS = sizeof(lengths) / sizeof(lengths[0]) };

static void ping_pong_body(member *me)
{
    const int other = 1 - me->rank;
    for (uint32_t i = 0; i < LENGTHS; i++) {
        if (me->rank == 0) {
            send_letter(me, me->group, other, 5, i, lengths[i]);
            recv_letter(me, me->group, other, other, 5, i, lengths[i]);
        } else {
            recv_letter(me, me->group, other, other, 5, i, lengths[i]);
            send_letter(me, me->group, other, 5, i, lengths[i]);
        }
    }
    weft_receipt receipt = {.size = sizeof(receipt)};
    const weft_coll_opts o = {.size = sizeof(o), .receipt = &receipt, .codec = "raw"};
    double v[3] = {1.5, -2.5, 3.25};
    if (me->rank == 0) {
        MUST_OK(me, weft_send(me->group, v, 3, WEFT_F64, 1, UINT32_MAX, &o));
        MUST(me, receipt.body_bytes_sent == 24 && strcmp(receipt.algo, "direct") == 0, "%s, %d",
             receipt.algo, (int)receipt.body_bytes_sent);
    } else {
        double w[3] = {0};
        MUST_OK(me, weft_recv(me->group, w, 3, WEFT_F64, 0, UINT32_MAX, &o));
        MUST(me, memcmp(v, w, sizeof(v)) == 0 && receipt.body_bytes_received == 24, "other bits");
    }
}

Test(p2p, messages_of_all_lengths_go_there_and_back)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, ping_pong_body, NULL);
    }
}

/* Small messages do not wait for their receiver: everybody sends first. */
static void around_body(member *me)
{
    const int right = (me->rank + 1) % me->size, left = (me->rank + me->size - 1) % me->size;
    for (uint32_t n = 0; n < 30; n++) {
        send_letter(me, me->group, right, 9, n, n * 100);
        recv_letter(me, me->group, left, left, 9, n, n * 100);
    }
}

Test(p2p, everybody_may_send_first_where_messages_are_small)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 4, around_body, NULL);
    }
}

/* ---- many at once ---------------------------------------------------------------------------- */

enum { TAGS = 1000, TAG_WORDS = 64 };

static size_t length_of(uint32_t tag)
{
    return tag % 50 == 0 ? 30000 : tag % TAG_WORDS; /* some in two lanes */
}

/* Everybody sends everybody a message of every tag and receives them from the last tag to the
 * first, all outstanding at once. */
static void thousand_tags_body(member *me)
{
    const int other = 1 - me->rank;
    uint32_t **in = calloc(TAGS, sizeof(*in)), **out = calloc(TAGS, sizeof(*out));
    weft_request **sends = calloc(TAGS, sizeof(weft_request *));
    weft_request **recvs = calloc(TAGS, sizeof(weft_request *));
    for (uint32_t t = 0; t < TAGS; t++) {
        in[t] = letter(me->rank, t, 0, length_of(t));
        MUST_OK(me, weft_send_start(me->group, in[t], length_of(t), WEFT_U32, other, t, NULL,
                                    &sends[t]));
    }
    for (uint32_t i = 0; i < TAGS; i++) {
        const uint32_t t = TAGS - 1 - i;
        out[t] = calloc(length_of(t) + 1, sizeof(uint32_t));
        MUST_OK(me, weft_recv_start(me->group, out[t], length_of(t), WEFT_U32, other, t, NULL,
                                    &recvs[t]));
    }
    for (uint32_t t = 0; t < TAGS; t++) {
        MUST_OK(me, weft_wait(recvs[t], WEFT_FOREVER));
        MUST(me, is_letter(out[t], other, t, 0, length_of(t)), "tag %u", t);
        MUST_OK(me, weft_wait(sends[t], WEFT_FOREVER));
        weft_request_free(&recvs[t]);
        weft_request_free(&sends[t]);
        free(in[t]);
        free(out[t]);
    }
    free(in);
    free(out);
    free(sends);
    free(recvs);
}

Test(p2p, a_thousand_tags_are_outstanding_both_ways_and_received_in_another_order)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, thousand_tags_body, NULL);
    }
}

/* 64 MiB each way at the same time. */
static void large_body(member *me)
{
    const size_t count = (size_t)16 << 20;
    const int other = 1 - me->rank;
    uint32_t *mine = letter(me->rank, 1, 0, count), *theirs = calloc(count, sizeof(*theirs));
    weft_request *out = NULL, *in = NULL;
    MUST(me, mine != NULL && theirs != NULL, "no memory");
    MUST_OK(me, weft_send_start(me->group, mine, count, WEFT_U32, other, 1, NULL, &out));
    MUST_OK(me, weft_recv_start(me->group, theirs, count, WEFT_U32, other, 1, NULL, &in));
    MUST_OK(me, weft_wait(in, WEFT_FOREVER));
    MUST_OK(me, weft_wait(out, WEFT_FOREVER));
    MUST(me, is_letter(theirs, other, 1, 0, count), "other bits");
    weft_request_free(&in);
    weft_request_free(&out);
    free(mine);
    free(theirs);
}

Test(p2p, long_messages_go_both_ways_at_once)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, large_body, NULL);
    }
}

/* More than a peer keeps for one that does not receive: the rest waits, and comes. */
typedef struct flood {
    gate sent;
} flood;

static void unexpected_body(member *me)
{
    enum { MANY = 400, WORDS = 16000 }; /* 64 000 bytes each, 25 MB in all */
    const flood *f = me->user;
    if (me->rank == 0) {
        uint32_t *v = letter(0, 3, 0, WORDS);
        weft_request *r[MANY];
        int through = 0;
        for (uint32_t t = 0; t < MANY; t++) {
            MUST_OK(me, weft_send_start(me->group, v, WORDS, WEFT_U32, 1, t, NULL, &r[t]));
        }
        /* As many as ever get through, however slow the machine is; then once more. */
        for (int enough = 0, round = 0; enough < 2 && round < 100; round++) {
            (void)weft_wait(r[MANY - 1], 200);
            through = 0;
            for (uint32_t t = 0; t < MANY; t++) {
                through += weft_test(r[t]) == WEFT_OK;
            }
            enough += through > 30;
        }
        MUST(me, through > 30 && through < 100, "%d of %d sends are through", through, MANY);
        gate_open(&f->sent, 1);
        for (uint32_t t = 0; t < MANY; t++) {
            MUST_OK(me, weft_wait(r[t], WEFT_FOREVER));
            weft_request_free(&r[t]);
        }
        free(v);
        return;
    }
    uint32_t *v = malloc(WORDS * sizeof(*v));
    MUST(me, gate_pass(&f->sent), "nothing was sent");
    for (uint32_t i = 0; i < MANY; i++) {
        MUST_OK(me, weft_recv(me->group, v, WORDS, WEFT_U32, 0, MANY - 1 - i, NULL));
        MUST(me, is_letter(v, 0, 3, 0, WORDS), "tag %u", MANY - 1 - i);
    }
    free(v);
}

Test(p2p, what_is_not_received_is_bounded_and_the_rest_comes_later)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        flood f = {gate_new()};
        cluster_run((cluster_link)link, 2, unexpected_body, &f);
    }
}

/* The n-th send of a tag meets the n-th receive, however many are started at once. */
static void numbered_body(member *me)
{
    enum { MANY = 300 };
    uint32_t v[MANY];
    weft_request *r[MANY];
    for (uint32_t n = 0; n < MANY; n++) {
        v[n] = me->rank == 0 ? n * n : 0;
        if (me->rank == 0) {
            MUST_OK(me, weft_send_start(me->group, &v[n], 1, WEFT_U32, 1, 4, NULL, &r[n]));
        } else {
            MUST_OK(me, weft_recv_start(me->group, &v[n], 1, WEFT_U32, 0, 4, NULL, &r[n]));
        }
    }
    for (uint32_t n = 0; n < MANY; n++) {
        const uint32_t at = MANY - 1 - n;
        MUST_OK(me, weft_wait(r[at], WEFT_FOREVER));
        MUST(me, v[at] == at * at, "message %u is %u", at, v[at]);
        weft_request_free(&r[at]);
    }
}

Test(p2p, messages_of_one_tag_keep_their_order)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, numbered_body, NULL);
    }
}

/* More tags than are kept at hand, each used several times with others between. */
static void many_tags_body(member *me)
{
    enum { MANY = 2500 };
    const int other = 1 - me->rank;
    for (uint32_t n = 0; n < 3; n++) {
        for (uint32_t t = 0; t < MANY; t++) {
            const size_t count = t % 500 == 7 ? 200000 : 2;
            if ((me->rank == 0) == (n % 2 == 0)) {
                send_letter(me, me->group, other, t, n / 2, count);
            } else {
                recv_letter(me, me->group, other, other, t, n / 2, count);
            }
        }
    }
}

Test(p2p, tags_that_were_put_away_go_on_with_their_numbers)
{
    cluster_run(CLUSTER_TCP, 2, many_tags_body, NULL);
    cluster_run(CLUSTER_MEM, 2, many_tags_body, NULL);
}

/* ---- beside other calls ---------------------------------------------------------------------- */

/* A second thread of every peer exchanges messages while the first one reduces. */
typedef struct side {
    member *me;
    int wrong;
} side;

static void *exchange(void *arg)
{
    side *s = arg;
    member *me = s->me;
    for (uint32_t n = 0; n < 60; n++) {
        const int other = (me->rank + 1 + (int)n % (me->size - 1)) % me->size;
        const int back = (me->rank + me->size - 1 - (int)n % (me->size - 1)) % me->size;
        const size_t count = n % 7 == 0 ? 100000 : n * 10;
        uint32_t *v = letter(me->rank, 2, n, count), *w = calloc(count + 1, sizeof(*w));
        weft_request *r = NULL;
        s->wrong += weft_send_start(me->group, v, count, WEFT_U32, other, n, NULL, &r) != WEFT_OK;
        s->wrong += weft_recv(me->group, w, count, WEFT_U32, back, n, NULL) != WEFT_OK;
        s->wrong += weft_wait(r, WEFT_FOREVER) != WEFT_OK;
        s->wrong += !is_letter(w, back, 2, n, count);
        weft_request_free(&r);
        free(v);
        free(w);
    }
    return NULL;
}

static void threads_body(member *me)
{
    side s = {.me = me};
    pthread_t thread;
    float *v = malloc(50000 * sizeof(*v));
    MUST(me, pthread_create(&thread, NULL, exchange, &s) == 0, "no thread");
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 50000; i++) {
            v[i] = 1.0f;
        }
        MUST_OK(me, weft_allreduce(me->group, v, v, 50000, WEFT_F32, WEFT_SUM, NULL));
        MUST(me, v[0] == (float)me->size && v[49999] == (float)me->size, "round %d", round);
    }
    pthread_join(thread, NULL);
    MUST(me, s.wrong == 0, "%d things went wrong in the other thread: %s", s.wrong,
         weft_last_error()->message);
    free(v);
}

Test(p2p, messages_and_collectives_of_two_threads_interleave)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 3, threads_body, NULL);
    }
}

/* The same tag in different groups is another one; ranks are those of the group. */
static void groups_body(member *me)
{
    weft_group *twin = NULL, *turned = NULL;
    const int last = me->size - 1;
    MUST_OK(me, weft_group_duplicate(me->group, &twin));
    MUST_OK(me, weft_group_split(twin, 0, -me->rank, &turned)); /* rank r is last - r of it */
    if (me->rank == 0) {
        send_letter(me, me->group, last, 1, 0, 10);
        send_letter(me, twin, last, 1, 1, 20);
        send_letter(me, turned, 0, 1, 2, 30);
    } else if (me->rank == last) {
        recv_letter(me, turned, last, 0, 1, 2, 30);
        recv_letter(me, me->group, 0, 0, 1, 0, 10);
        recv_letter(me, twin, 0, 0, 1, 1, 20);
        uint32_t v[4];
        const weft_coll_opts o = {.size = sizeof(o), .timeout_ms = 200};
        MUST_END(me, WEFT_ETIMEDOUT, weft_recv(turned, v, 4, WEFT_U32, last, 7, &o));
        const char *text = weft_last_error()->message;
        MUST(me, weft_last_error()->rank == last, "it names rank %d", weft_last_error()->rank);
        MUST(me,
             strstr(text, "recv of tag 7 (transfer 1)") != NULL &&
                 strstr(text, "waits for rank 2 (rank 0 of the opened group") != NULL,
             "%s", text);
    }
    weft_group_close(&twin);
    MUST_OK(me, weft_barrier(turned, NULL));
    if (me->rank == 0) { /* told of it late: one that is long enough to wait for its receiver */
        uint32_t *v = calloc(1000000, sizeof(*v));
        MUST_END(me, WEFT_ETIMEDOUT, weft_send(turned, v, 1000000, WEFT_U32, 0, 7, NULL));
        free(v);
        send_letter(me, turned, 0, 7, 1, 4);
    } else if (me->rank == last) {
        recv_letter(me, turned, last, 0, 7, 1, 4);
    }
    weft_group_close(&turned);
}

Test(p2p, tags_and_ranks_are_those_of_the_group)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 3, groups_body, NULL);
    }
}

/* What may go without waiting: 8 messages of 64 KiB from everybody before anybody receives. */
static void first_body(member *me)
{
    enum { WORDS = 16384, EACH = 8 };
    uint32_t *v = calloc(WORDS, sizeof(*v));
    for (uint32_t i = 0; i < EACH; i++) {
        v[WORDS - 1] = i;
        MUST_OK(me, weft_send(me->group, v, WORDS, WEFT_U32, 1 - me->rank, 3, NULL));
    }
    for (uint32_t i = 0; i < EACH; i++) {
        MUST_OK(me, weft_recv(me->group, v, WORDS, WEFT_U32, 1 - me->rank, 3, NULL));
        MUST(me, v[WORDS - 1] == i, "%u", v[WORDS - 1]);
    }
    free(v);
}

Test(p2p, eight_of_64_kib_go_before_anybody_receives)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, first_body, NULL);
    }
}

/* The ninth waits, but no longer than until some were received. */
static void ninth_body(member *me)
{
    enum { EACH = 9, SOME = 3 };
    uint32_t v = 0;
    weft_request *ninth = NULL;
    for (v = 0; v < EACH - 1 && me->rank == 0; v++) {
        MUST_OK(me, weft_send(me->group, &v, 1, WEFT_U32, 1, 7, NULL));
    }
    if (me->rank == 0) {
        MUST_OK(me, weft_send_start(me->group, &v, 1, WEFT_U32, 1, 7, NULL, &ninth));
        MUST_END(me, WEFT_PENDING, weft_wait(ninth, 20));
    }
    MUST_OK(me, weft_barrier(me->group, NULL));
    for (uint32_t i = 0; i < EACH; i++) {
        if (i == SOME) {
            if (me->rank == 0) {
                MUST_OK(me, weft_wait(ninth, WEFT_FOREVER));
                weft_request_free(&ninth);
            }
            MUST_OK(me, weft_barrier(me->group, NULL));
        }
        if (me->rank == 1) {
            MUST_OK(me, weft_recv(me->group, &v, 1, WEFT_U32, 0, 7, NULL));
            MUST(me, v == i, "%u instead of %u", v, i);
        }
    }
}

Test(p2p, a_send_goes_on_once_some_before_it_were_received)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, ninth_body, NULL);
    }
}
