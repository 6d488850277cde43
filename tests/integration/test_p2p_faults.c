/* SPDX-License-Identifier: Apache-2.0 */
/* Send and receive by real peers, and something goes wrong: both ends hear of it in words, and what
 * comes after works. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/cluster.h"

enum { SMALL = 100, LONG = 1000000 };

/* The next transfer of this tag works. */
static void works(member *me, uint32_t tag)
{
    uint32_t v = me->rank == 0 ? 4711 : 0;
    if (me->rank == 0) {
        MUST_OK(me, weft_send(me->group, &v, 1, WEFT_U32, 1, tag, NULL));
    } else {
        MUST_OK(me, weft_recv(me->group, &v, 1, WEFT_U32, 0, tag, NULL));
    }
    MUST(me, v == 4711, "%u", v);
}

static bool says(const char *word)
{
    return strstr(weft_last_error()->message, word) != NULL;
}

/* ---- bad input ------------------------------------------------------------------------------- */

static void wrong_body(member *me)
{
    float v[4] = {0};
    weft_request *r = NULL;
    weft_group *g = me->group;
    const int other = 1 - me->rank;
    MUST_END(me, WEFT_EINVAL, weft_send(g, v, 4, WEFT_F32, me->rank, 0, NULL));
    MUST(me, says("is this peer itself"), "%s", weft_last_error()->message);
    MUST_END(me, WEFT_EINVAL, weft_recv(g, v, 4, WEFT_F32, me->rank, 0, NULL));
    MUST_END(me, WEFT_EINVAL, weft_send(g, v, 4, WEFT_F32, 2, 0, NULL));
    MUST(me, says("there is no rank 2 among 2 peers"), "%s", weft_last_error()->message);
    MUST_END(me, WEFT_EINVAL, weft_recv(g, v, 4, WEFT_F32, -1, 0, NULL));
    MUST_END(me, WEFT_EINVAL, weft_send(NULL, v, 4, WEFT_F32, other, 0, NULL));
    MUST_END(me, WEFT_EINVAL, weft_send(g, NULL, 4, WEFT_F32, other, 0, NULL));
    MUST(me, says("send: a buffer is missing"), "%s", weft_last_error()->message);
    MUST_END(me, WEFT_EINVAL, weft_recv(g, NULL, 4, WEFT_F32, other, 0, NULL));
    MUST_END(me, WEFT_EINVAL, weft_send(g, v, 4, (weft_dtype)99, other, 0, NULL));
    MUST_END(me, WEFT_EINVAL, weft_send(g, v, SIZE_MAX / 2, WEFT_F32, other, 0, NULL));
    MUST(me, says("is above 2^40"), "%s", weft_last_error()->message);
    MUST_END(me, WEFT_EINVAL, weft_recv_start(g, v, 4, WEFT_F32, other, 0, NULL, NULL));
    const weft_coll_opts lossy = {.size = sizeof(lossy), .codec = "qsgd"};
    MUST_END(me, WEFT_ENOTSUP, weft_send(g, v, 4, WEFT_F32, other, 0, &lossy));
    /* What collectives look at. */
    const weft_coll_opts more = {.size = sizeof(more), .algo = "ring", .own = v};
    if (me->rank == 0) {
        MUST_OK(me, weft_send(g, v, 4, WEFT_F32, other, 0, &more));
    } else {
        MUST_OK(me, weft_recv(g, v, 4, WEFT_F32, other, 0, &more));
    }
    MUST_END(me, WEFT_EINVAL, weft_send_start(g, v, 4, WEFT_F32, me->rank, 0, NULL, &r));
    MUST(me, r == NULL, "a request all the same");
    works(me, 0); /* none of them was a call */
}

Test(p2p_faults, bad_arguments_are_told_and_nothing_is_sent)
{
    cluster_run(CLUSTER_TCP, 2, wrong_body, NULL);
    cluster_run(CLUSTER_MEM, 2, wrong_body, NULL);
}

static void along_a_line(weft_group_opts *o, const member *me)
{
    (void)me;
    o->topology = "tree:arity=1";
}

static void no_edge_body(member *me)
{
    uint32_t v = 1;
    if (me->rank != 1) {
        MUST_END(me, WEFT_ENOTSUP, weft_send(me->group, &v, 1, WEFT_U32, 2 - me->rank, 0, NULL));
        MUST(me, weft_last_error()->rank == 2 - me->rank && says("no edge of the topology"), "%s",
             weft_last_error()->message);
        MUST_OK(me, weft_send(me->group, &v, 1, WEFT_U32, 1, 0, NULL));
    } else {
        MUST_OK(me, weft_recv(me->group, &v, 1, WEFT_U32, 0, 0, NULL));
        MUST_OK(me, weft_recv(me->group, &v, 1, WEFT_U32, 2, 0, NULL));
    }
}

Test(p2p_faults, messages_go_along_the_edges_of_the_topology_only)
{
    cluster_join(cluster_start(&(cluster_plan){
        .link = CLUSTER_TCP, .size = 3, .body = no_edge_body, .options = along_a_line}));
}

/* ---- other counts, other types --------------------------------------------------------------- */

typedef struct turns {
    gate receiver, sender;
} turns;

/* What each says: the sender, the receiver. */
typedef struct pair {
    size_t count[2];
    weft_dtype dtype[2];
    const char *words[2];
} pair;

static const pair pairs[] = {
    {{LONG, LONG + 1}, {WEFT_F32, WEFT_F32}, {"float32 count=1000000", "float32 count=1000001"}},
    {{LONG, LONG}, {WEFT_F32, WEFT_I32}, {"float32 count=1000000", "int32 count=1000000"}},
    {{LONG, 0}, {WEFT_U8, WEFT_U8}, {"uint8 count=1000000", "uint8 count=0"}},
    {{LONG, SMALL}, {WEFT_F64, WEFT_F64}, {"float64 count=1000000", "float64 count=100"}},
    {{SMALL, LONG}, {WEFT_F32, WEFT_F32}, {"float32 count=100 ", "float32 count=1000000"}},
    {{SMALL, SMALL + 1}, {WEFT_F32, WEFT_F32}, {"float32 count=100 ", "float32 count=101 "}},
};
enum { PAIRS = sizeof(pairs) / sizeof(pairs[0]) };

/* Who was told has both calls in words. */
static void check_words(member *me, int i)
{
    char text[200];
    for (int end = 0; end < 2; end++) {
        snprintf(text, sizeof(text), "rank %d calls %s %s", end, end == 0 ? "send" : "recv",
                 pairs[i].words[end]);
        MUST(me, says(text), "pair %d: no \"%s\" in: %s", i, text, weft_last_error()->message);
    }
    snprintf(text, sizeof(text), "transfer %d of tag 6: ", 2 * i + 1);
    MUST(me, says(text), "pair %d: %s", i, weft_last_error()->message);
    MUST(me, weft_last_error()->rank == 0 || weft_last_error()->rank == 1, "rank %d",
         weft_last_error()->rank);
}

/* The receiver first, or the sender. */
static void mismatch_body(member *me)
{
    const turns *t = me->user;
    void *v = calloc(LONG + 1, sizeof(double));
    for (int i = 0; i < PAIRS; i++) {
        const size_t count = pairs[i].count[me->rank];
        const weft_dtype dtype = pairs[i].dtype[me->rank];
        weft_request *r = NULL;
        const bool first = (i % 2 == 0) == (me->rank == 1);
        if (!first) {
            MUST(me, gate_pass(me->rank == 0 ? &t->receiver : &t->sender), "nobody began");
        }
        if (me->rank == 0) {
            MUST_OK(me, weft_send_start(me->group, v, count, dtype, 1, 6, NULL, &r));
        } else {
            MUST_OK(me, weft_recv_start(me->group, v, count, dtype, 0, 6, NULL, &r));
        }
        if (first) {
            gate_open(me->rank == 0 ? &t->sender : &t->receiver, 1);
        }
        const int code = weft_wait(r, WEFT_FOREVER);
        /* A send that is through before is through. */
        const bool may_be_through = me->rank == 0 && count == SMALL;
        MUST(me, code == WEFT_EMISMATCH || (code == WEFT_OK && may_be_through), "pair %d: %s", i,
             weft_status_name(code));
        if (code == WEFT_EMISMATCH) {
            check_words(me, i);
        }
        weft_request_free(&r);
        works(me, 6);
    }
    free(v);
}

Test(p2p_faults, other_counts_and_types_are_told_at_both_ends)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        turns t = {gate_new(), gate_new()};
        cluster_run((cluster_link)link, 2, mismatch_body, &t);
    }
}

/* ---- patience -------------------------------------------------------------------------------- */

static void timeout_body(member *me)
{
    const turns *t = me->user;
    float *v = calloc(LONG, sizeof(*v));
    const weft_coll_opts o = {.size = sizeof(o), .timeout_ms = 200};
    if (me->rank == 0) { /* a send that nobody receives, too long to go without */
        MUST_END(me, WEFT_ETIMEDOUT, weft_send(me->group, v, LONG, WEFT_F32, 1, 8, &o));
        MUST(me, weft_last_error()->rank == 1, "it names rank %d", weft_last_error()->rank);
        MUST(me, says("send of tag 8 (transfer 1)") && says("waits for rank 1 ("), "%s",
             weft_last_error()->message);
        gate_open(&t->sender, 1);
        MUST(me, gate_pass(&t->receiver), "the other has not received");
        MUST_END(me, WEFT_ETIMEDOUT, weft_send(me->group, v, LONG, WEFT_F32, 1, 9, NULL));
        MUST(me, weft_last_error()->rank == 0, "it names rank %d", weft_last_error()->rank);
    } else {
        MUST(me, gate_pass(&t->sender), "the other has not sent");
        MUST_END(me, WEFT_ETIMEDOUT, weft_recv(me->group, v, LONG, WEFT_F32, 0, 8, NULL));
        MUST(me, says("send of tag 8"), "%s", weft_last_error()->message);
        MUST_END(me, WEFT_ETIMEDOUT, weft_recv(me->group, v, LONG, WEFT_F32, 0, 9, &o));
        MUST(me, weft_last_error()->rank == 0, "it names rank %d", weft_last_error()->rank);
        MUST(me, says("recv of tag 9 (transfer 1)") && says("has not called"), "%s",
             weft_last_error()->message);
        gate_open(&t->receiver, 1);
    }
    works(me, 8);
    works(me, 9);
    free(v);
}

Test(p2p_faults, a_timeout_names_the_peer_and_the_tag_and_is_told_to_it)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        turns t = {gate_new(), gate_new()};
        cluster_run((cluster_link)link, 2, timeout_body, &t);
    }
}

static void cancel_body(member *me)
{
    const turns *t = me->user;
    float *v = calloc(LONG, sizeof(*v));
    weft_request *r = NULL;
    if (me->rank == 0) {
        MUST_OK(me, weft_send_start(me->group, v, LONG, WEFT_F32, 1, 1, NULL, &r));
        MUST_END(me, WEFT_PENDING, weft_wait(r, 30));
        weft_cancel(r);
        MUST_END(me, WEFT_ECANCELED, weft_wait(r, WEFT_FOREVER));
        MUST(me, says("send of tag 1 was canceled on rank 0"), "%s", weft_last_error()->message);
        gate_open(&t->sender, 1);
        weft_request_free(&r);
        /* Now the other way round: what comes at once could be taken before the cancel. */
        MUST(me, gate_pass(&t->receiver), "the other has not canceled");
        MUST_END(me, WEFT_ECANCELED, weft_send(me->group, v, LONG, WEFT_F32, 1, 2, NULL));
        MUST(me, weft_last_error()->rank == 1 && says("recv of tag 2 was canceled on rank 1"), "%s",
             weft_last_error()->message);
    } else {
        MUST(me, gate_pass(&t->sender), "the other has not canceled");
        MUST_END(me, WEFT_ECANCELED, weft_recv(me->group, v, LONG, WEFT_F32, 0, 1, NULL));
        MUST(me, weft_last_error()->rank == 0, "it names rank %d", weft_last_error()->rank);
        MUST_OK(me, weft_recv_start(me->group, v, LONG, WEFT_F32, 0, 2, NULL, &r));
        weft_request_free(&r); /* cancels it */
        gate_open(&t->receiver, 1);
    }
    works(me, 1);
    works(me, 2);
    free(v);
}

Test(p2p_faults, a_cancel_ends_both_ends)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        turns t = {gate_new(), gate_new()};
        cluster_run((cluster_link)link, 2, cancel_body, &t);
    }
}

/* ---- who is gone ----------------------------------------------------------------------------- */

/* What was sent before one left is received all the same; what was not is told. Others go on. */
static void leave_body(member *me)
{
    const turns *t = me->user;
    weft_group *g = NULL;
    uint32_t v[SMALL] = {0};
    float *far = calloc(LONG, sizeof(*far));
    MUST_OK(me, weft_group_split(me->group, 0, -me->rank, &g)); /* 2, 1, 0 */
    if (me->rank == 2) {
        v[0] = 77;
        MUST_OK(me, weft_send(g, v, SMALL, WEFT_U32, 2, 1, NULL)); /* to rank 0 of the opened one */
        MUST_OK(me, weft_send(g, v, 1, WEFT_U32, 1, 3, NULL));
        weft_group_close(&g);
        gate_open(&t->sender, 2);
    } else if (me->rank == 0) {
        MUST(me, gate_pass(&t->sender), "the other has not left");
        MUST_OK(me, weft_recv(g, v, SMALL, WEFT_U32, 0, 1, NULL));
        MUST(me, v[0] == 77, "%u", v[0]);
        MUST_END(me, WEFT_EPEER, weft_recv(g, v, SMALL, WEFT_U32, 0, 1, NULL));
        MUST(me, weft_last_error()->rank == 0, "it names rank %d", weft_last_error()->rank);
        MUST(me, says("rank 0 (rank 2 of the opened group, ") && says("left the group"), "%s",
             weft_last_error()->message);
        MUST_END(me, WEFT_EPEER, weft_send(g, far, LONG, WEFT_F32, 0, 2, NULL));
        MUST_OK(me, weft_send(g, v, 1, WEFT_U32, 1, 1, NULL)); /* to who is still there */
    } else {
        MUST(me, gate_pass(&t->sender), "the other has not left");
        MUST_OK(me, weft_recv(g, v, 1, WEFT_U32, 2, 1, NULL));
        MUST_OK(me, weft_recv(g, v, 1, WEFT_U32, 0, 3, NULL));
        MUST(me, v[0] == 77, "%u", v[0]);
    }
    MUST_OK(me, weft_barrier(me->group, NULL));
    weft_group_close(&g);
    free(far);
}

Test(p2p_faults, who_left_the_group_is_named_and_what_it_sent_arrives)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        turns t = {gate_new(), gate_new()};
        cluster_run((cluster_link)link, 3, leave_body, &t);
    }
}

/* Two that never spoke: one has left the group before the other asks for it. */
static void strangers_body(member *me)
{
    const turns *t = me->user;
    weft_group *g = NULL;
    uint32_t v = 0;
    MUST_OK(me, weft_group_duplicate(me->group, &g));
    if (me->rank == me->size - 1) {
        weft_group_close(&g);
        gate_open(&t->sender, 1);
        MUST(me, gate_pass(&t->receiver), "the other has not ended"); /* the links stay */
    } else if (me->rank == 1) {
        MUST(me, gate_pass(&t->sender), "the other has not left");
        MUST_END(me, WEFT_EPEER, weft_recv(g, &v, 1, WEFT_U32, me->size - 1, 1, NULL));
        MUST(me, weft_last_error()->rank == me->size - 1 && says("left the group"), "%s",
             weft_last_error()->message);
        gate_open(&t->receiver, 1);
    }
    MUST_OK(me, weft_barrier(me->group, NULL));
    weft_group_close(&g);
}

Test(p2p_faults, who_left_before_it_was_met_is_named)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        turns t = {gate_new(), gate_new()};
        cluster_run((cluster_link)link, 7, strangers_body, &t);
    }
}

typedef struct death {
    gate ready;
} death;

static void bereaved_body(member *me)
{
    const death *d = me->user;
    uint32_t v = 0;
    float *far = calloc(LONG, sizeof(*far));
    weft_request *in = NULL, *out = NULL;
    MUST_OK(me, weft_barrier(me->group, NULL));
    if (me->rank == 1) {
        gate_open(&d->ready, 1);
        pause();
    }
    MUST_OK(me, weft_recv_start(me->group, &v, 1, WEFT_U32, 1, 1, NULL, &in));
    MUST_OK(me, weft_send_start(me->group, far, LONG, WEFT_F32, 1, 2, NULL, &out));
    MUST_END(me, WEFT_PENDING, weft_wait(in, 30));
    gate_open(&d->ready, 1);
    const int64_t before = weft_now();
    MUST_END(me, WEFT_EPEER, weft_wait(in, WEFT_FOREVER));
    MUST(me, weft_last_error()->rank == 1 && says("rank 1 ("), "%s", weft_last_error()->message);
    MUST_END(me, WEFT_EPEER, weft_wait(out, WEFT_FOREVER));
    MUST(me, weft_now() - before < cluster_patience(8000) * WEFT_MS, "it took long");
    weft_request_free(&in);
    weft_request_free(&out);
    MUST_END(me, WEFT_EBROKEN, weft_send(me->group, &v, 1, WEFT_U32, 1, 3, NULL));
    free(far);
}

Test(p2p_faults, a_dead_peer_is_named)
{
    for (int link = CLUSTER_TCP; link <= CLUSTER_IPC; link++) {
        death d = {gate_new()};
        cluster *c = cluster_start(&(cluster_plan){
            .link = (cluster_link)link, .size = 2, .body = bereaved_body, .user = &d});
        cr_assert(gate_pass(&d.ready) && gate_pass(&d.ready));
        cluster_signal(c, 1, SIGKILL);
        cluster_join(c);
    }
}

/* Closing ends what is outstanding, of both kinds. */
static void close_body(member *me)
{
    enum { EACH = 40 };
    uint32_t v[EACH];
    float *far = calloc(LONG, sizeof(*far));
    weft_request *in[EACH], *out[EACH];
    weft_group *g = NULL;
    MUST_OK(me, weft_group_duplicate(me->group, &g));
    if (me->rank == 0) {
        for (uint32_t i = 0; i < EACH; i++) { /* of some tags more than are at work at once */
            MUST_OK(me, weft_recv_start(g, &v[i], 1, WEFT_U32, 1, i % 2, NULL, &in[i]));
            MUST_OK(me, weft_send_start(g, far, LONG, WEFT_F32, 1, i % 3, NULL, &out[i]));
        }
        MUST_END(me, WEFT_PENDING, weft_wait(in[0], 10));
        weft_group_close(&g);
        for (int i = 0; i < EACH; i++) {
            MUST_END(me, WEFT_ECANCELED, weft_wait(in[i], WEFT_FOREVER));
            MUST_END(me, WEFT_ECANCELED, weft_wait(out[i], WEFT_FOREVER));
            weft_request_free(&in[i]);
            weft_request_free(&out[i]);
        }
    }
    MUST_OK(me, weft_barrier(me->group, NULL));
    works(me, 1);
    weft_group_close(&g);
    free(far);
}

Test(p2p_faults, closing_a_group_cancels_its_transfers)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, close_body, NULL);
    }
}

/* More failures of a tag than are remembered: the other end hears of them all the same. */
static void forgotten_body(member *me)
{
    enum { GIVEN_UP = 140 };
    char *v = calloc(LONG, 1);
    const weft_coll_opts brief = {.size = sizeof(brief), .timeout_ms = 1};
    for (int i = 0; i < GIVEN_UP && me->rank == 1; i++) {
        MUST_END(me, WEFT_ETIMEDOUT, weft_recv(me->group, v, LONG, WEFT_U8, 0, 5, &brief));
    }
    MUST_OK(me, weft_barrier(me->group, NULL));
    for (int i = 0; i < GIVEN_UP && me->rank == 0; i++) {
        const weft_coll_opts forever = {.size = sizeof(forever), .timeout_ms = WEFT_FOREVER};
        MUST_END(me, WEFT_ETIMEDOUT, weft_send(me->group, v, LONG, WEFT_U8, 1, 5, &forever));
        MUST(me, says("tag 5"), "%s", weft_last_error()->message);
    }
    works(me, 5);
    free(v);
}

Test(p2p_faults, receives_given_up_long_ago_end_their_sends)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, forgotten_body, NULL);
    }
}

/* A group of which one leaves breaks, with more tags than are kept, while data for it is under way:
 * the group it was made from does not. */
static void broken_body(member *me)
{
    enum { TAGS = 1300, LONGS = 40, BYTES = 16 << 20 };
    static weft_request *small[TAGS], *in[LONGS], *out[LONGS];
    char *v = calloc(BYTES, 1);
    uint32_t got[TAGS];
    weft_group *g = NULL;
    weft_request *meet = NULL;
    MUST_OK(me, weft_group_duplicate(me->group, &g));
    MUST_OK(me, weft_barrier(me->group, NULL));
    for (uint32_t i = 0; i < TAGS && me->rank == 1; i++) {
        MUST_OK(me, weft_recv_start(g, &got[i], 1, WEFT_U32, 0, i, NULL, &small[i]));
    }
    for (uint32_t i = 0; i < LONGS && me->rank < 2; i++) {
        if (me->rank == 0) {
            MUST_OK(me, weft_send_start(g, v, BYTES, WEFT_U8, 1, 5000 + i, NULL, &out[i]));
        } else {
            MUST_OK(me, weft_recv_start(g, v, BYTES, WEFT_U8, 0, 5000 + i, NULL, &in[i]));
        }
    }
    uint32_t go = me->rank == 0;
    if (me->rank == 0) { /* now data are under way */
        MUST_OK(me, weft_wait(out[0], WEFT_FOREVER));
        MUST_OK(me, weft_send(me->group, &go, 1, WEFT_U32, 2, 1, NULL));
    }
    if (me->rank == 2) {
        MUST_OK(me, weft_recv(me->group, &go, 1, WEFT_U32, 0, 1, NULL));
        weft_group_close(&g);
    } else {
        MUST_OK(me, weft_barrier_start(g, NULL, &meet));
        const int code = weft_wait(meet, WEFT_FOREVER);
        MUST(me, code == WEFT_EPEER || code == WEFT_EBROKEN, "%d", code);
        weft_request_free(&meet);
        for (int i = 0; i < LONGS; i++) {
            weft_request_free(me->rank == 0 ? &out[i] : &in[i]);
        }
        for (int i = 0; i < TAGS && me->rank == 1; i++) {
            weft_request_free(&small[i]);
        }
        /* Between those who stay there are transfers all the same. */
        MUST_OK(me, me->rank == 0 ? weft_send(g, &go, 1, WEFT_U32, 1, 9999, NULL)
                                  : weft_recv(g, &go, 1, WEFT_U32, 0, 9999, NULL));
        MUST(me, go == 1, "got %u", go);
    }
    MUST_OK(me, weft_barrier(me->group, NULL));
    if (me->rank < 2) {
        works(me, 1);
    }
    weft_group_close(&g);
    free(v);
}

Test(p2p_faults, a_broken_group_with_many_tags_leaves_the_others_alone)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 3, broken_body, NULL);
    }
}
