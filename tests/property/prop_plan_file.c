/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every algorithm written to a plan file and read back: the same plans, the same bits, a price that
 * says what was counted; and no change of a step that the proof lets pass.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "collectives/plan_algo.h"
#include "plan/plan_sim.h"
#include "support/rows.h"

enum { MOST = 9, ELEMENT = sizeof(float), GRAIN = 12 };

typedef struct scene {
    const weft_algo *algo;
    int size, root;
} scene;

static size_t divisible(int size)
{
    const size_t power = size > 8 ? 16 : size > 4 ? 8 : 4;
    return GRAIN * power * (size_t)size * (size_t)(size > 1 ? size - 1 : 1);
}

static weft_shape shape_of(const scene *s, size_t count, size_t block)
{
    return (weft_shape){
        .coll = s->algo->coll, .size = s->size, .count = count, .block = block, .root = s->root};
}

static void free_plans(weft_plan *plans, int size)
{
    for (int rank = 0; rank < size; rank++)
        weft_plan_free(&plans[rank]);
}

/* false: the algorithm does not serve the shape. */
static bool build_all(const weft_algo *a, weft_shape s, weft_plan *ret)
{
    memset(ret, 0, MOST * sizeof *ret);
    for (s.rank = 0; s.rank < s.size; s.rank++) {
        const int rc = weft_algo_build(a, &s, &ret[s.rank]);
        if (rc == WEFT_ENOTSUP) {
            free_plans(ret, s.size);
            return false;
        }
        cr_assert_eq(rc, 0, "%s %s P=%d: %s", weft_coll_name(a->coll), a->name, s.size,
                     weft_last_error()->message);
    }
    return true;
}

/* The algorithm as a file that was written and read again; NULL: it does not serve so many. */
static weft_plan_file *exported(const scene *s)
{
    weft_plan plans[MOST];
    weft_plan_file *f = NULL;
    char *text = NULL;

    if (!build_all(s->algo, shape_of(s, divisible(s->size), 1), plans))
        return NULL;
    cr_assert_eq(weft_plan_file_write(s->algo->coll, s->root, plans, "a \"name\"", "ö", &text), 0);
    free_plans(plans, s->size);
    cr_assert_eq(weft_plan_file_parse("exported", text, strlen(text), &f), 0, "%s %s P=%d: %s\n%s",
                 weft_coll_name(s->algo->coll), s->algo->name, s->size, weft_last_error()->message,
                 text);
    weft_free(text);
    return f;
}

static weft_plan_algo *proved(const scene *s, weft_plan_file *f)
{
    weft_plan_algo *a = NULL;

    cr_assert_eq(weft_plan_algo_prove(f, &a), 0, "%s %s P=%d: %s", weft_coll_name(s->algo->coll),
                 s->algo->name, s->size, weft_last_error()->message);
    return a;
}

static void same_plans(const scene *s, const weft_plan *a, const weft_plan *b)
{
    for (int rank = 0; rank < s->size; rank++) {
        char *first = weft_plan_print(&a[rank]), *second = weft_plan_print(&b[rank]);
        cr_expect_str_eq(first, second, "%s %s P=%d", weft_coll_name(s->algo->coll), s->algo->name,
                         s->size);
        weft_free(first);
        weft_free(second);
    }
}

/* Slots of floats. */
typedef struct world {
    const weft_plan *plans;
    size_t count;
    float *in[MOST], *out[MOST];
} world;

static size_t bound(void *user, weft_span span, bool raw)
{
    (void)user;
    (void)raw;
    return span.count * ELEMENT;
}

static float *at_span(float *buffer, const world *w, weft_span span)
{
    return buffer + (size_t)span.block * w->count + span.off;
}

static int fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    const world *w = user;
    float *from = at->step->verb == WEFT_VERB_PACK ? w->in[at->rank] : w->out[at->rank];

    if (cap)
        memcpy(slot, at_span(from, w, at->step->span), cap);
    *ret_len = cap;
    return WEFT_OK;
}

static int fold(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    const world *w = user;
    const float *mine = at_span(w->in[at->rank], w, at->step->span);
    float *sum = slot;

    for (size_t i = 0; i < len / ELEMENT; i++)
        sum[i] += mine[i];
    return WEFT_OK;
}

static int merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                 size_t other_len)
{
    const float *more = other;
    float *sum = slot;

    (void)user;
    cr_assert_eq(len, other_len);
    for (size_t i = 0; i < len / ELEMENT; i++)
        sum[i] = at->step->other_first ? more[i] + sum[i] : sum[i] + more[i];
    return WEFT_OK;
}

static int unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    const world *w = user;
    float *out = at_span(w->out[at->rank], w, at->step->span);
    const float *from = slot;

    for (size_t i = 0; i < len / ELEMENT; i++)
        out[i] = at->step->verb == WEFT_VERB_ADD ? out[i] + from[i] : from[i];
    return WEFT_OK;
}

static const weft_sim_ops ops = {
    .bound = bound, .fill = fill, .fold = fold, .merge = merge, .unpack = unpack};

/* Run the plans; all outputs, one behind the other, are returned (free). */
static float *outputs(const scene *s, const weft_plan *plans, size_t count, weft_sim_count *counts)
{
    const size_t ins = plans[0].in_blocks * count, outs = plans[0].out_blocks * count;
    float *all = calloc(outs * (size_t)s->size + 1, ELEMENT);
    world w = {.plans = plans, .count = count};

    for (int rank = 0; rank < s->size; rank++) {
        weft_rng rng = {.state = (uint64_t)rank + 7};
        w.in[rank] = calloc(ins + 1, ELEMENT);
        w.out[rank] = all + (size_t)rank * outs;
        for (size_t i = 0; i < ins; i++)
            w.in[rank][i] = (float)(weft_rng_unit(&rng) - 0.5);
    }
    cr_assert_eq(weft_plan_simulate(plans, s->size, &ops, &w, count, counts), 0, "%s",
                 weft_last_error()->message);
    for (int rank = 0; rank < s->size; rank++)
        free(w.in[rank]);
    return all;
}

static void same_bits(const scene *s, const weft_plan *a, const weft_plan *b, size_t count)
{
    weft_sim_count counts[MOST];
    float *first = outputs(s, a, count, counts), *second = outputs(s, b, count, counts);

    cr_expect_arr_eq(first, second, a[0].out_blocks * count * (size_t)s->size * ELEMENT,
                     "%s %s P=%d: other bits", weft_coll_name(s->algo->coll), s->algo->name,
                     s->size);
    free(first);
    free(second);
}

static void raise_to(double *most, double value)
{
    *most = value > *most ? value : *most;
}

static void same_price(const scene *s, const weft_algo *a, const weft_shape *shape,
                       const weft_plan *plans)
{
    weft_sim_count counts[MOST];
    weft_cost most = {0};
    const weft_cost c = a->cost(shape, ELEMENT, ELEMENT);

    free(outputs(s, plans, shape->count, counts));
    for (int i = 0; i < s->size; i++) {
        raise_to(&most.rounds, counts[i].rounds);
        raise_to(&most.messages, (double)counts[i].messages);
        raise_to(&most.messages, (double)counts[i].received_messages);
        raise_to(&most.bytes, (double)counts[i].bytes);
        raise_to(&most.bytes, (double)counts[i].received_bytes);
        raise_to(&most.reduced_bytes, (double)counts[i].reduced_bytes);
        raise_to(&most.peers, counts[i].peers);
    }
    cr_expect(most.rounds == c.rounds && most.messages == c.messages && most.peers == c.peers,
              "%s %s P=%d: %g rounds, %g messages, %g peers", weft_coll_name(s->algo->coll),
              s->algo->name, s->size, c.rounds, c.messages, c.peers);
    cr_expect(most.bytes == c.bytes && most.reduced_bytes == c.reduced_bytes,
              "%s %s P=%d n=%zu block=%zu: said %g and %g bytes, counted %g and %g",
              weft_coll_name(s->algo->coll), s->algo->name, s->size, shape->count, shape->block,
              c.bytes, c.reduced_bytes, most.bytes, most.reduced_bytes);
}

static void round_trip(const scene *s)
{
    weft_plan built[MOST], read[MOST];
    weft_plan_file *f = exported(s);

    if (!f)
        return;
    const size_t parts = (size_t)f->parts;
    weft_plan_algo *a = proved(s, f);
    const weft_algo *row = weft_plan_algo_row(a);
    const size_t even[] = {divisible(s->size), 4 * divisible(s->size)};
    for (size_t i = 0; i < sizeof even / sizeof *even; i++) {
        weft_shape shape = shape_of(s, even[i], 1);
        cr_assert(build_all(s->algo, shape, built));
        shape.file = a;
        cr_assert(build_all(row, shape, read));
        same_plans(s, built, read);
        same_bits(s, built, read, even[i]);
        free_plans(built, s->size);
        free_plans(read, s->size);
    }
    const size_t counts[] = {0, 1, parts - 1, parts + 1, 8 * parts + 3, 1009};
    const size_t blocks[] = {0, 1, 8, 64};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
            weft_shape shape = shape_of(s, counts[i], blocks[b]);
            shape.file = a;
            cr_assert(build_all(row, shape, read));
            same_price(s, row, &shape, read);
            free_plans(read, s->size);
        }
    /* What the steps need and do is known better than of all sizes together. */
    cr_expect(!rows_any_codec(s->algo) || !(row->needs & ~s->algo->needs));
    cr_expect_eq(row->traits & ~s->algo->traits & WEFT_ALGO_REPLIES, 0);
    cr_expect_eq(s->algo->traits & ~row->traits & WEFT_ALGO_ORDERED, 0);
    if (s->size > 3) {
        cr_expect(!rows_any_codec(s->algo) || row->needs == s->algo->needs);
        cr_expect_eq(row->traits & WEFT_ALGO_REPLIES, s->algo->traits & WEFT_ALGO_REPLIES);
    }
    weft_plan_algo_unref(a);
}

ParameterizedTestParameters(plan_file, gives_back_every_algorithm_with_its_bits_and_price)
{
    static int rows[ROWS_MOST];

    return cr_make_param_array(int, rows, rows_all(rows));
}

ParameterizedTest(int *row, plan_file, gives_back_every_algorithm_with_its_bits_and_price)
{
    const weft_algo *a = weft_algo_at(*row);

    for (int size = 1; size <= MOST; size++)
        for (int root = 0; root < size; root += weft_coll_rooted(a->coll) ? size / 2 + 1 : size)
            round_trip(&(scene){.algo = a, .size = size, .root = root});
}

typedef enum mutation {
    DROP,
    DOUBLE,
    OTHER_PART,
    OTHER_PEER,
    OTHER_SLOT,
    FLIP_RAW,
    SCALE
} mutation;

/* false: the step has nothing to change. */
static bool mutate(weft_plan_file *f, int rank, size_t step, mutation how)
{
    weft_file_step *s = &f->steps[step];
    const bool talks = s->verb == WEFT_VERB_SEND || s->verb == WEFT_VERB_RECV;
    const bool spans = s->to > s->from && s->verb != WEFT_VERB_SEND && f->parts > 1;
    const size_t total = f->first[f->peers];

    switch (how) {
    case DROP:
        memmove(s, s + 1, (total - step - 1) * sizeof *s);
        for (int r = rank + 1; r <= f->peers; r++)
            f->first[r]--;
        return true;
    case DOUBLE: /* in the place of a fence: nothing grows */
        if (s->verb != WEFT_VERB_FENCE || step == f->first[rank])
            return false;
        *s = s[-1];
        return true;
    case OTHER_PART:
        if (!spans || (s->from == 0 && s->to == (uint32_t)f->parts))
            return false;
        s->from = s->from ? s->from - 1 : 1;
        s->to = s->from + 1;
        return true;
    case OTHER_PEER:
        s->peer =
            (s->peer + 1) % f->peers == rank ? (s->peer + 2) % f->peers : (s->peer + 1) % f->peers;
        return talks && f->peers > 2;
    case OTHER_SLOT: /* what a barrier receives, nobody looks at */
        s->slot = s->slot == 255 ? 0 : 255;
        return s->verb != WEFT_VERB_FENCE &&
               (f->coll != WEFT_COLL_BARRIER || s->verb != WEFT_VERB_RECV);
    case FLIP_RAW:
        s->raw = !s->raw;
        return s->verb == WEFT_VERB_RECV;
    default:
        if (s->verb != WEFT_VERB_FOLD && s->verb != WEFT_VERB_MERGE)
            return false;
        *s = (weft_file_step){.verb = WEFT_VERB_SCALE, .slot = s->slot, .weight = 0.5};
        return true;
    }
}

static void *copy(const void *from, size_t bytes)
{
    void *to = weft_alloc(bytes);

    cr_assert_not_null(to);
    return memcpy(to, from, bytes);
}

static weft_plan_file *clone(const weft_plan_file *f)
{
    weft_plan_file *c = copy(f, sizeof *f);

    c->path = weft_strdup(f->path);
    c->first = copy(f->first, ((size_t)f->peers + 1) * sizeof *f->first);
    c->steps = copy(f->steps, f->first[f->peers] * sizeof *f->steps);
    return c;
}

/* Every change of every step of every algorithm of so many peers is refused. How many there were.
 */
static int refuse_all(mutation how, int size)
{
    const weft_algo *a;
    int tried = 0;

    for (int row = 0; (a = weft_algo_at(row)); row++) {
        const scene s = {.algo = a, .size = size};
        weft_plan_file *whole = exported(&s);
        for (int rank = 0; whole && rank < size; rank++)
            for (size_t step = whole->first[rank]; step < whole->first[rank + 1]; step++) {
                weft_plan_file *f = clone(whole);
                weft_plan_algo *proof = NULL;
                if (!mutate(f, rank, step, how)) {
                    weft_plan_file_free(f);
                    continue;
                }
                const int rc = weft_plan_algo_prove(f, &proof);
                const char *why = weft_last_error()->message;
                cr_expect_eq(rc, WEFT_EINVAL, "%s %s P=%d: change %d of rank %d step %zu",
                             weft_coll_name(a->coll), a->name, size, (int)how, rank,
                             step - whole->first[rank]);
                cr_expect(rc == 0 || (strstr(why, "plan file exported: ") && strstr(why, "rank")),
                          "%s", why);
                cr_expect(rc == 0 || strstr(why, "step") || strstr(why, "is not written"), "%s",
                          why);
                tried++;
                weft_plan_algo_unref(proof);
            }
        weft_plan_file_free(whole);
    }
    return tried;
}

Test(plan_file, refuses_any_dropped_step)
{
    cr_assert_gt(refuse_all(DROP, 3) + refuse_all(DROP, 4), 100);
}

Test(plan_file, refuses_a_step_twice)
{
    cr_assert_gt(refuse_all(DOUBLE, 3) + refuse_all(DOUBLE, 4), 30);
}

Test(plan_file, refuses_another_part)
{
    cr_assert_gt(refuse_all(OTHER_PART, 3) + refuse_all(OTHER_PART, 4), 50);
}

Test(plan_file, refuses_another_peer)
{
    cr_assert_gt(refuse_all(OTHER_PEER, 3) + refuse_all(OTHER_PEER, 4), 100);
}

Test(plan_file, refuses_another_slot)
{
    cr_assert_gt(refuse_all(OTHER_SLOT, 3) + refuse_all(OTHER_SLOT, 4), 100);
}

Test(plan_file, refuses_elements_for_an_encoding)
{
    cr_assert_gt(refuse_all(FLIP_RAW, 3) + refuse_all(FLIP_RAW, 4), 50);
}

Test(plan_file, refuses_a_scaled_contribution)
{
    cr_assert_gt(refuse_all(SCALE, 3) + refuse_all(SCALE, 4), 10);
}
