/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier accepts every algorithm, and nothing that differs from it in one step. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "collectives/partition.h"
#include "plan/plan_verify.h"
#include "support/rows.h"

enum { MOST = 32 };

typedef enum mutation {
    NONE,
    DROP,
    DOUBLE,
    OTHER_PEER,
    FLIP_ORDER,
    FLIP_RAW,
    FLIP_JOINED,
    READ_LATE, /* pack, at the end, what the step wrote */
} mutation;

/* What the builder callback makes: every rank's plan, one step of one rank changed. */
typedef struct scene {
    const weft_algo *algo;
    weft_shape shape;
    mutation how;
    int rank;
    size_t step;
    bool changed;
    bool ordered; /* the goal is rank order, whatever the algorithm promises */
} scene;

static void insert_copy(weft_plan *p, size_t at)
{
    const weft_step step = p->steps[at];

    weft_plan_fence(p); /* grows the plan by one */
    memmove(p->steps + at + 1, p->steps + at, (p->step_count - 1 - at) * sizeof step);
    p->steps[at] = step;
}

static bool mutate(scene *s, weft_plan *p)
{
    weft_step *step = &p->steps[s->step];
    const weft_span span = step->span;
    const int slots = p->slot_count;

    switch (s->how) {
    case DROP:
        memmove(step, step + 1, (p->step_count - 1 - s->step) * sizeof *step);
        p->step_count--;
        return true;
    case DOUBLE:
        insert_copy(p, s->step);
        return true;
    case OTHER_PEER:
        step->peer = (step->peer + 1) % p->size;
        if (step->peer == p->rank)
            step->peer = (step->peer + 1) % p->size;
        return true;
    case FLIP_ORDER:
        step->other_first = !step->other_first;
        return true;
    case FLIP_RAW:
        step->raw = !step->raw;
        return true;
    case FLIP_JOINED:
        step->joined = !step->joined;
        return true;
    case READ_LATE:
        weft_plan_pack(p, slots, span);
        return true;
    default:
        return false;
    }
}

static int build(void *user, int rank, weft_plan *ret)
{
    scene *s = user;
    weft_shape shape = s->shape;

    shape.rank = rank;
    const int rc = weft_algo_build(s->algo, &shape, ret);
    if (!rc && s->how != NONE && rank == s->rank)
        s->changed = mutate(s, ret);
    return rc;
}

static int verify(scene *s)
{
    weft_goal goal = weft_algo_goal(s->algo, &s->shape);
    goal.ordered |= s->ordered;
    return weft_plan_verify(&goal, build, s);
}

static bool serves(const weft_algo *a, const weft_shape *s)
{
    char why[160];

    return !a->refuses || !a->refuses(s, why, sizeof why);
}

static void accept(const weft_algo *a, const weft_shape *h)
{
    scene s = {.algo = a, .shape = *h};

    if (serves(a, h))
        cr_expect_eq(verify(&s), 0, "%s %s P=%d n=%zu block=%zu root=%d%s%s: %s",
                     weft_coll_name(a->coll), a->name, h->size, h->count, h->block, h->root,
                     h->ragged ? " ragged" : "", h->order ? " in another order" : "",
                     weft_last_error()->message);
}

ParameterizedTestParameters(verify, accepts_every_algorithm)
{
    static int rows[ROWS_MOST];

    return cr_make_param_array(int, rows, rows_all(rows));
}

ParameterizedTest(int *row, verify, accepts_every_algorithm)
{
    const weft_algo *a = weft_algo_at(*row);

    cr_assert_not_null(a);
    for (int P = 1; P <= MOST; P = P == 17 ? MOST : P + 1) {
        const size_t counts[] = {0, 1, (size_t)P - 1, (size_t)P, (size_t)P + 1, 1000, 1009};
        const size_t blocks[] = {1, 8, 64, 0};
        const int roots[] = {0, P - 1, P / 2};
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++)
                for (int k = 0; k < (weft_coll_rooted(a->coll) ? 3 : 1); k++)
                    for (int ragged = 0; ragged < (a->coll == WEFT_COLL_ALLTOALL ? 2 : 1); ragged++)
                        accept(a, &(weft_shape){.coll = a->coll,
                                                .size = P,
                                                .count = counts[i],
                                                .block = blocks[b],
                                                .ragged = ragged,
                                                .root = roots[k]});
    }
}

/* Ranks seated by chance. What adds in rank order then adds in the order of the seats. */
Test(verify, accepts_every_algorithm_in_any_order_of_ranks)
{
    weft_rng rng = {.state = 5};
    const weft_algo *a;

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        weft_algo unordered = *a;
        unordered.traits &= ~(uint32_t)WEFT_ALGO_ORDERED;
        for (int P = 2; P <= 9; P++) {
            int order[MOST];
            for (int i = 0; i < P; i++) {
                const int at = (int)weft_rng_below(&rng, (uint64_t)i + 1);
                order[i] = order[at];
                order[at] = i;
            }
            for (int root = 0; root < (weft_coll_rooted(a->coll) ? P : 1); root++)
                accept(&unordered, &(weft_shape){.coll = a->coll,
                                                 .size = P,
                                                 .count = 100,
                                                 .block = 8,
                                                 .root = root,
                                                 .order = order});
        }
    }
}

Test(verify, the_table_has_no_more_rows_than_are_tested)
{
    cr_assert_not_null(weft_algo_at(0));
    cr_assert_null(weft_algo_at(ROWS_MOST));
    cr_assert_null(weft_algo_at(-1));
}

static bool combines(weft_verb v)
{
    return v == WEFT_VERB_FOLD || v == WEFT_VERB_MERGE || v == WEFT_VERB_ADD;
}

static bool writes(weft_verb v)
{
    return v == WEFT_VERB_UNPACK || v == WEFT_VERB_ADD;
}

static bool is_send(weft_verb v)
{
    return v == WEFT_VERB_SEND;
}

static bool is_recv(weft_verb v)
{
    return v == WEFT_VERB_RECV;
}

static bool is_talk(weft_verb v)
{
    return is_send(v) || is_recv(v);
}

static bool is_fence(weft_verb v)
{
    return v == WEFT_VERB_FENCE;
}

static bool is_merge(weft_verb v)
{
    return v == WEFT_VERB_MERGE;
}

/* A step's own neighbour below is a message of the same kind with the same peer. */
static bool has_twin(const weft_plan *p, size_t step)
{
    const weft_step *s = &p->steps[step];
    return step + 1 < p->step_count && s[1].verb == s->verb && s[1].peer == s->peer;
}

/* Apply `how` to each fitting step of each rank of each algorithm: all rejected, naming a step.
 * Returns how many there were. */
static int reject_all(mutation how, bool (*fits)(weft_verb), bool (*spare)(const weft_algo *, int))
{
    const weft_algo *a;
    int tried = 0;

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        for (int P = 3; P <= 6; P++) {
            const weft_shape shape = {
                .coll = a->coll, .size = P, .count = 1000, .block = 8, .root = P / 2};
            if ((spare && spare(a, P)) || !serves(a, &shape))
                continue;
            for (int rank = 0; rank < P; rank++) {
                weft_plan plan;
                weft_shape mine = shape;
                mine.rank = rank;
                cr_assert_eq(weft_algo_build(a, &mine, &plan), 0);
                for (size_t i = 0; i < plan.step_count; i++) {
                    if (!fits(plan.steps[i].verb) || (how == FLIP_JOINED && !has_twin(&plan, i)))
                        continue;
                    scene s = {.algo = a, .shape = shape, .how = how, .rank = rank, .step = i};
                    const int rc = verify(&s);
                    cr_assert(s.changed);
                    cr_expect_eq(rc, WEFT_EINTERNAL, "%s %s P=%d: change of rank %d step %zu (%s)",
                                 weft_coll_name(a->coll), a->name, P, rank, i,
                                 weft_verb_name(plan.steps[i].verb));
                    const char *why = weft_last_error()->message;
                    cr_expect(strstr(why, "step") && strstr(why, "rank"), "%s", why);
                    tried++;
                }
                weft_plan_free(&plan);
            }
        }
    }
    return tried;
}

Test(verify, rejects_a_dropped_operand)
{
    cr_assert_gt(reject_all(DROP, combines, NULL), 100);
}

Test(verify, rejects_an_operand_that_counts_twice)
{
    cr_assert_gt(reject_all(DOUBLE, combines, NULL), 100);
}

Test(verify, rejects_a_message_to_or_from_another_peer)
{
    cr_assert_gt(reject_all(OTHER_PEER, is_talk, NULL), 100);
}

Test(verify, rejects_a_dropped_message)
{
    cr_assert_gt(reject_all(DROP, is_talk, NULL), 100);
}

Test(verify, rejects_a_message_sent_twice)
{
    cr_assert_gt(reject_all(DOUBLE, is_talk, NULL), 100);
}

Test(verify, rejects_use_of_a_slot_above_its_fence)
{
    cr_assert_gt(reject_all(DROP, is_fence, NULL), 100);
}

/* Where one rank alone makes a sum it may put operands on either side, unless it says ordered. */
static bool alone(const weft_algo *a, int size)
{
    (void)size;
    return !(a->traits & WEFT_ALGO_ORDERED);
}

Test(verify, rejects_a_merge_with_operands_in_another_order)
{
    cr_assert_gt(reject_all(FLIP_ORDER, is_merge, alone), 20);
}

Test(verify, rejects_messages_that_are_joined_otherwise)
{
    cr_assert_gt(reject_all(FLIP_JOINED, is_talk, NULL), 100);
}

Test(verify, rejects_sums_out_of_rank_order_where_it_is_asked_for)
{
    static const struct {
        weft_coll coll;
        const char *name;
    } unordered[] = {{WEFT_COLL_ALLREDUCE, "ring"},
                     {WEFT_COLL_REDUCE, "halving"},
                     {WEFT_COLL_REDUCE_SCATTER, "halving"},
                     {WEFT_COLL_REDUCE_SCATTER, "pairwise"},
                     {WEFT_COLL_REDUCE_SCATTER, "ring"}};

    for (size_t i = 0; i < sizeof unordered / sizeof *unordered; i++)
        for (int P = 3; P <= 17; P++) {
            scene s = {.shape = {.coll = unordered[i].coll, .size = P, .count = 1000, .block = 8},
                       .ordered = true};
            cr_assert_eq(weft_algo_find(s.shape.coll, unordered[i].name, &s.algo), 0);
            cr_expect_eq(verify(&s), WEFT_EINTERNAL, "%s P=%d", unordered[i].name, P);
            cr_expect(strstr(weft_last_error()->message, "in rank order"), "%s",
                      weft_last_error()->message);
        }
}

/* Ranks in other places than their own: right, and in the order of places. */
Test(verify, rejects_an_ordered_algorithm_in_another_order_of_ranks)
{
    static const int order[] = {1, 0, 2, 3, 4};
    const weft_algo *a;

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        scene s = {
            .algo = a,
            .shape = {.coll = a->coll, .size = 5, .count = 1000, .block = 8, .order = order}};
        if (!(a->traits & WEFT_ALGO_ORDERED))
            continue;
        accept(a, &s.shape);
        s.ordered = true;
        cr_expect_eq(verify(&s), WEFT_EINTERNAL, "%s", a->name);
    }
}

Test(verify, rejects_a_receive_that_takes_elements_for_an_encoding)
{
    cr_assert_gt(reject_all(FLIP_RAW, is_recv, NULL), 100);
}

/* Their inputs and outputs share one block only, so that most steps write where no input lies. */
static bool has_blocks(const weft_algo *a, int size)
{
    return weft_coll_in_blocks(a->coll, size) != weft_coll_out_blocks(a->coll, size);
}

Test(verify, rejects_input_read_after_its_place_was_written)
{
    cr_assert_gt(reject_all(READ_LATE, writes, has_blocks), 100);
}

Test(verify, rejects_any_dropped_step)
{
    /* A dropped unpack leaves elements without a writer: no step to name, so not reject_all's text.
     */
    const weft_algo *a;

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        const weft_shape shape = {
            .coll = a->coll, .rank = 1, .size = 4, .count = 1000, .block = 8, .root = 2};
        weft_plan plan;
        if (!serves(a, &shape))
            continue;
        cr_assert_eq(weft_algo_build(a, &shape, &plan), 0);
        for (size_t i = 0; i < plan.step_count; i++) {
            scene s = {.algo = a, .shape = shape, .how = DROP, .rank = 1, .step = i};
            cr_expect_neq(verify(&s), 0, "%s %s: step %zu (%s) is not needed",
                          weft_coll_name(a->coll), a->name, i, weft_verb_name(plan.steps[i].verb));
        }
        weft_plan_free(&plan);
    }
}

Test(verify, out_of_memory_anywhere_is_reported)
{
    static const struct {
        weft_coll coll;
        const char *name;
    } some[] = {{WEFT_COLL_ALLREDUCE, "scatter"},
                {WEFT_COLL_ALLREDUCE, "doubling"},
                {WEFT_COLL_REDUCE_SCATTER, "halving"},
                {WEFT_COLL_ALLTOALL, "bruck"}};

    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        scene s = {.shape = {.coll = some[i].coll, .size = 3, .count = 100, .block = 8}};
        int rc = WEFT_ENOMEM;
        long n = 1;
        cr_assert_eq(weft_algo_find(s.shape.coll, some[i].name, &s.algo), 0);
        for (; rc; n++) {
            weft_mem_fail_at(n);
            rc = verify(&s);
            weft_mem_fail_at(0);
            cr_assert(rc == 0 || rc == WEFT_ENOMEM, "%s: allocation %ld gave %d", some[i].name, n,
                      rc);
        }
        cr_expect_gt(n, 30);
    }
}
