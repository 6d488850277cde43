/* SPDX-License-Identifier: Apache-2.0 */
/* What one operation tells about itself: own contribution, residual, receipt. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cluster.h"
#include "support/fixtures.h"

enum { COUNT = 30000, SPECS = 5, ALGOS = 2 };

static const char *const specs[SPECS] = {"raw", "qsgd:levels=7", "qsgd:levels=1,bucket=64",
                                         "qsgd:levels=127,bucket=256,norm=2",
                                         "qsgd:levels=3,bucket=0"};
static const char *const algos[ALGOS] = {"gather", "scatter"};

typedef struct vectors {
    float in[COUNT], out[COUNT], own[COUNT], residual[COUNT], before[COUNT];
} vectors;

typedef struct contributions {
    int spec, algo;
    weft_op op;
    vectors peer[CLUSTER_MAX];
} contributions;

static void contribute(member *me)
{
    contributions *c = me->user;
    vectors *v = &c->peer[me->rank];
    fixture_floats(3, me->rank, v->in, COUNT);
    fixture_floats(4, me->rank, v->residual, COUNT);
    memcpy(v->before, v->residual, sizeof(v->before));
    const weft_coll_opts o = {.size = sizeof(o),
                              .algo = algos[c->algo],
                              .codec = specs[c->spec],
                              .own = v->own,
                              .residual = v->residual,
                              .draw = 77,
                              .tensor = 3};
    MUST_OK(me, weft_allreduce(me->group, v->in, v->out, COUNT, WEFT_F32, c->op, &o));
    float *again = malloc(sizeof(v->in));
    fixture_floats(3, me->rank, again, COUNT);
    MUST(me, memcmp(again, v->in, sizeof(v->in)) == 0, "the input was written");
    free(again);
}

static void check_sums(const contributions *c, int size, const char *where)
{
    for (size_t i = 0; i < COUNT; i++) {
        float sum = c->peer[0].own[i];
        for (int r = 1; r < size; r++) {
            sum += c->peer[r].own[i];
        }
        if (c->op == WEFT_MEAN) {
            sum /= (float)size;
        }
        for (int r = 0; r < size; r++) {
            const vectors *v = &c->peer[r];
            const float acc = v->in[i] + v->before[i];
            const float left = acc - v->own[i];
            cr_assert(memcmp(&sum, &v->out[i], sizeof(sum)) == 0,
                      "%s, element %zu, rank %d: %.9g, the sum of own is %.9g", where, i, r,
                      (double)v->out[i], (double)sum);
            cr_assert(memcmp(&left, &v->residual[i], sizeof(left)) == 0,
                      "%s, element %zu, rank %d: residual %.9g, not %.9g", where, i, r,
                      (double)v->residual[i], (double)left);
        }
    }
}

Test(contributions, own_adds_up_to_the_result_and_residual_is_the_rest)
{
    contributions *c = cluster_shared(sizeof(*c));
    for (c->algo = 0; c->algo < ALGOS; c->algo++) {
        for (c->spec = 0; c->spec < SPECS; c->spec++) {
            const int size = 1 + (c->spec + 2) % 5;
            char where[128];
            c->op = c->spec % 2 != 0 ? WEFT_MEAN : WEFT_SUM;
            snprintf(where, sizeof(where), "%s of %s, %d peers", algos[c->algo], specs[c->spec],
                     size);
            cluster_run(c->spec == 1 ? CLUSTER_TCP : CLUSTER_MEM, size, contribute, c);
            check_sums(c, size, where);
        }
    }
}

/* Receipts of one operation on every peer, with what the group counted meanwhile. */
typedef struct receipts {
    const char *algo, *spec;
    size_t count;
    weft_receipt of[CLUSTER_MAX];
    weft_group_stats before[CLUSTER_MAX], after[CLUSTER_MAX];
} receipts;

static void take_receipt(member *me)
{
    receipts *s = me->user;
    float *in = calloc(s->count + 1, sizeof(float)), *out = calloc(s->count + 1, sizeof(float));
    weft_receipt *receipt = &s->of[me->rank];
    *receipt = (weft_receipt){.size = sizeof(*receipt)};
    s->before[me->rank].size = sizeof(weft_group_stats);
    s->after[me->rank].size = sizeof(weft_group_stats);
    const weft_coll_opts o = {
        .size = sizeof(o), .algo = s->algo, .codec = s->spec, .receipt = receipt};
    fixture_floats(9, me->rank, in, s->count);
    MUST_OK(me, weft_barrier(me->group, NULL));
    MUST_OK(me, weft_group_get_stats(me->group, &s->before[me->rank]));
    MUST_OK(me, weft_allreduce(me->group, in, out, s->count, WEFT_F32, WEFT_SUM, &o));
    MUST_OK(me, weft_group_get_stats(me->group, &s->after[me->rank]));
    MUST(me, strcmp(receipt->algo, s->algo) == 0, "the receipt says %s", receipt->algo);
    free(in);
    free(out);
}

/* Bytes all peers sent together, from what each encoded; algorithms as `weft info` prices them. */
static uint64_t closed_form(const receipts *s, int size)
{
    const uint64_t hops = (uint64_t)size - 1, dense = s->count * sizeof(float);
    uint64_t encoded = 0;
    for (int r = 0; r < size; r++) {
        encoded += s->of[r].encoded_bytes;
    }
    if (strcmp(s->algo, "ring") == 0) {
        return 2 * hops * dense; /* every element travels P-1 hops as a sum, P-1 as the result */
    }
    if (strcmp(s->algo, "gather") == 0) {
        return hops * encoded; /* every encoding travels P-1 hops */
    }
    /* Spans are even: each peer keeps a P-th of what it encodes; replies are dense. */
    return encoded / (uint64_t)size * hops + hops * dense;
}

static void check_receipts(receipts *s, int size)
{
    uint64_t sent = 0, received = 0;
    cluster_run(CLUSTER_TCP, size, take_receipt, s);
    for (int r = 0; r < size; r++) {
        const weft_receipt *x = &s->of[r];
        const uint64_t body = s->after[r].body_bytes_sent - s->before[r].body_bytes_sent;
        const uint64_t wire = s->after[r].wire_bytes_sent - s->before[r].wire_bytes_sent;
        sent += x->body_bytes_sent;
        received += x->body_bytes_received;
        cr_assert_eq(body, x->body_bytes_sent,
                     "rank %d: the group sent %llu, the receipt says %llu", r,
                     (unsigned long long)body, (unsigned long long)x->body_bytes_sent);
        cr_assert_leq(x->wire_bytes_sent, wire);
        cr_assert_eq((x->wire_bytes_sent - x->body_bytes_sent) % 64, 0,
                     "headers of data frames are 64 bytes");
        cr_assert_eq(s->after[r].operations - s->before[r].operations, 1);
        cr_assert_geq(x->lanes, 1);
    }
    cr_assert_eq(sent, received);
    cr_assert_eq(sent, closed_form(s, size), "%s of %s, %d peers, %zu floats: %llu bytes, not %llu",
                 s->algo, s->spec, size, s->count, (unsigned long long)sent,
                 (unsigned long long)closed_form(s, size));
}

Test(contributions, bytes_sent_are_those_of_the_closed_forms)
{
    receipts *s = cluster_shared(sizeof(*s));
    for (int size = 2; size <= 5; size++) {
        s->algo = "ring";
        s->spec = "raw";
        s->count = 100003;
        check_receipts(s, size);
        s->algo = "gather";
        check_receipts(s, size);
        s->spec = "qsgd:levels=7,bucket=512";
        check_receipts(s, size);
        s->algo = "scatter";
        s->count = (size_t)size * 512 * 20; /* spans of 20 blocks */
        check_receipts(s, size);
        s->spec = "qsgd:levels=1,bucket=64";
        check_receipts(s, size);
        s->spec = "raw";
        check_receipts(s, size);
    }
}

Test(contributions, a_quantized_gather_sends_less_than_dense_floats)
{
    receipts *s = cluster_shared(sizeof(*s));
    s->algo = "gather";
    s->spec = "qsgd:levels=1,bucket=512";
    s->count = 51200;
    check_receipts(s, 3);
    for (int r = 0; r < 3; r++) {
        cr_assert_lt(s->of[r].encoded_bytes, s->count * 4 / 16, "ternary takes below 2 bits");
    }
}
