/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs: the plans of all ranks against their goal, the price against a count. */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "explain/study.h"
#include "plan/plan_sim.h"
#include "plan/plan_verify.h"

/* Bytes of an element that the count is made with: encoded, and as it is. A figure that takes one
 * for the other is found out. */
enum { ENCODED = 1, RAW = 4, SEED = 1 };

/* All plans of one lane length. */
typedef struct set {
    const weft_study *study;
    bool last;
    weft_plan *plans;
    int size;
} set;

static size_t bound(void *user, weft_span span, bool raw)
{
    (void)user;
    return span.count * (raw ? RAW : ENCODED);
}

static int fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    (void)user;
    (void)at;
    memset(slot, 0, cap);
    *ret_len = cap;
    return WEFT_OK;
}

static int change(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    (void)user;
    (void)at;
    (void)slot;
    (void)len;
    return WEFT_OK;
}

static int merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                 size_t other_len)
{
    (void)other;
    (void)other_len;
    return change(user, at, slot, len);
}

static int unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    (void)user;
    (void)at;
    (void)slot;
    (void)len;
    return WEFT_OK;
}

static int compare(const char *what, double counted, double said)
{
    if (counted == said)
        return WEFT_OK;
    return weft_fail(WEFT_EINTERNAL, "%.0f %s are counted, the price says %.0f", counted, what,
                     said);
}

/* Of each figure the most that any rank has; of messages and bytes, sent or received. */
static int check_price(const set *all, const weft_sim_count *counts)
{
    const weft_study *s = all->study;
    weft_shape shape = weft_study_shape(s, 0, all->last);
    weft_cost most = {0};
    int rc;

    /* Where an order seats the ranks, the root has a place. */
    for (int i = 0; shape.order && i < shape.size; i++)
        if (shape.order[i] == s->query.root)
            shape.root = i;
    const weft_cost c = s->pick.algo->cost(&shape, ENCODED, RAW);
    for (int i = 0; i < all->size; i++) {
        const weft_sim_count *n = &counts[i];
        const weft_cost sent = {.rounds = n->rounds,
                                .messages = (double)n->messages,
                                .bytes = (double)n->bytes,
                                .reduced_bytes = (double)n->reduced_bytes,
                                .peers = n->peers};
        const weft_cost received = {.messages = (double)n->received_messages,
                                    .bytes = (double)n->received_bytes};
        weft_cost_most(&most, &sent);
        weft_cost_most(&most, &received);
    }
    if ((rc = compare("rounds", most.rounds, c.rounds)) ||
        (rc = compare("messages", most.messages, c.messages)) ||
        (rc = compare("bytes", most.bytes, c.bytes)) ||
        (rc = compare("bytes combined", most.reduced_bytes, c.reduced_bytes)))
        return rc;
    return compare("peers", most.peers, c.peers);
}

static int count(const set *all, weft_proof *proof)
{
    static const weft_sim_ops ops = {.bound = bound,
                                     .fill = fill,
                                     .fold = change,
                                     .merge = merge,
                                     .scale = change,
                                     .unpack = unpack};
    weft_sim_count *counts = weft_calloc((size_t)all->size, sizeof *counts);
    int rc;

    if (!counts)
        return weft_fail(WEFT_ENOMEM, "verify: no memory for %d ranks", all->size);
    rc = weft_plan_simulate(all->plans, all->size, &ops, NULL, SEED, counts);
    if (!rc)
        rc = check_price(all, counts);
    for (int i = 0; !rc && i < all->size; i++) {
        proof->plans++;
        proof->steps += all->plans[i].step_count;
        proof->messages += counts[i].messages;
    }
    weft_free(counts);
    return rc;
}

/* The verifier takes them over. */
static int hand_over(void *user, int rank, weft_plan *ret)
{
    const set *all = user;

    *ret = all->plans[rank];
    all->plans[rank] = (weft_plan){0};
    return WEFT_OK;
}

int weft_study_prove(const weft_study *s, bool last, weft_proof *proof)
{
    set all = {.study = s, .last = last, .size = s->query.peers};
    const weft_shape shape = weft_study_shape(s, 0, last);
    const weft_goal goal = weft_algo_goal(s->pick.algo, &shape);
    int rc = WEFT_OK;

    all.plans = weft_calloc((size_t)all.size, sizeof *all.plans);
    if (!all.plans)
        return weft_fail(WEFT_ENOMEM, "verify: no memory for %d plans", all.size);
    for (int i = 0; !rc && i < all.size; i++)
        rc = weft_study_build((void *)s, i, last, &all.plans[i]);
    if (!rc)
        rc = count(&all, proof);
    if (!rc)
        rc = weft_plan_verify(&goal, hand_over, &all);
    for (int i = 0; i < all.size; i++)
        weft_plan_free(&all.plans[i]);
    weft_free(all.plans);
    return rc ? weft_fail_context("%s %s of %d peers, %zu elements", weft_coll_name(s->coll),
                                  s->pick.text, s->query.peers, shape.count)
              : WEFT_OK;
}

int weft_verify(const weft_query *query, weft_proof *ret)
{
    weft_proof proof = {0};
    weft_study s;
    int rc = weft_study_open(&s, query);

    if (rc)
        return rc;
    rc = weft_study_pick(&s, query->algo);
    if (!rc)
        rc = weft_study_prove(&s, false, &proof);
    if (!rc && weft_study_has_rest(&s))
        rc = weft_study_prove(&s, true, &proof);
    weft_study_close(&s);
    if (!rc && ret) {
        proof.size = ret->size;
        memcpy(ret, &proof, ret->size < sizeof proof ? ret->size : sizeof proof);
    }
    return rc;
}
