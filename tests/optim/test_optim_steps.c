/* SPDX-License-Identifier: Apache-2.0 */
/* What steps do to model and state, over real groups of threads. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "optim_peers.h"
#include <weft/weft.h>

#define TERNARY "qsgd:levels=1,bucket=16,norm=max"
#define FOUR_BITS "qsgd:levels=7,bucket=8,norm=max"

enum { COUNT = 67 }; /* no multiple of any block */

static const char *const specs[] = {"gd",
                                    "sgd:momentum=0.9",
                                    "diana",
                                    "diana:momentum=0.9",
                                    "diana:prox_l1=0.05,prox_l2=0.1",
                                    "diana:momentum=0.5,state=f64"};
static const char *const codecs[] = {"raw", TERNARY, FOUR_BITS, "qsgd:levels=11,bucket=0,norm=2"};

enum { SPECS = sizeof(specs) / sizeof(specs[0]), CODECS = sizeof(codecs) / sizeof(codecs[0]) };

static run run_of(const quadratic *q, const char *spec, const char *lr, const char *codec,
                  int steps)
{
    return (run){.problem = q,
                 .spec = spec,
                 .opts = quadratic_opts(q, lr, codec),
                 .steps = steps,
                 .keep = 1};
}

static size_t vector_bytes(const run *r)
{
    return r->problem->count * sizeof(float);
}

static void expect_same_everywhere(const run *r, float *vectors, const char *what)
{
    for (int k = 1; k <= r->steps; k++) {
        for (int i = 1; i < r->problem->peers; i++) {
            cr_assert_eq(
                memcmp(run_at(r, vectors, k, 0), run_at(r, vectors, k, i), vector_bytes(r)), 0,
                "%s, codec %s, %d peers, step %d: %s of rank %d is not rank 0's", r->spec,
                r->opts.codec, r->problem->peers, k, what, i);
        }
    }
}

static void all_pairs_with(int peers)
{
    quadratic q;

    quadratic_make(&q, peers, COUNT);
    for (size_t s = 0; s < SPECS; s++) {
        for (size_t c = 0; c < CODECS; c++) {
            run r = run_of(&q, specs[s], "theory", codecs[c], 12);

            run_all(&r);
            expect_same_everywhere(&r, r.x, "x");
            expect_same_everywhere(&r, r.v, "v");
            expect_same_everywhere(&r, r.hbar, "hbar");
            cr_expect_lt(quadratic_gap(&q, r.last[0], 0.0, 0.0), quadratic_gap(&q, r.x, 0.0, 0.0),
                         "%s, codec %s: no progress", specs[s], codecs[c]);
            run_free(&r);
        }
    }
    quadratic_free(&q);
}

Test(optim_steps, one_peer_works_alone)
{
    all_pairs_with(1);
}

Test(optim_steps, two_peers_hold_the_same_bits_after_every_step)
{
    all_pairs_with(2);
}

Test(optim_steps, three_peers_hold_the_same_bits_after_every_step)
{
    all_pairs_with(3);
}

Test(optim_steps, four_peers_hold_the_same_bits_after_every_step)
{
    all_pairs_with(4);
}

Test(optim_steps, seven_peers_hold_the_same_bits_after_every_step)
{
    all_pairs_with(7);
}

/* Every operation rounds to float, as volatile forces on any machine. */
static float rounded(float a)
{
    volatile float r = a;

    return r;
}

static float soft(float z, float t)
{
    return z > t ? rounded(z - t) : z < -t ? rounded(z + t) : 0.0f;
}

/* The published algorithm in plain C on the decoded messages that the peers report. */
static void follow(const char *spec, const char *codec, double beta, double l1, double l2,
                   double alpha)
{
    enum { PEERS = 3, STEPS = 40 };
    const double lr = 0.11;
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    run r = run_of(&q, spec, "0.11", codec, STEPS);
    run_all(&r);
    for (size_t j = 0; j < COUNT; j++) {
        float x = 0.0f, v = 0.0f, hbar = 0.0f, h[PEERS] = {0};

        for (int k = 1; k <= STEPS; k++) {
            float sum = run_at(&r, r.q, k, 0)[j];

            for (int i = 1; i < PEERS; i++) {
                sum = rounded(sum + run_at(&r, r.q, k, i)[j]);
            }
            const float mean = rounded(sum / (float)PEERS);
            const float ghat = rounded(hbar + mean);

            hbar = rounded(hbar + rounded((float)alpha * mean));
            for (int i = 0; i < PEERS; i++) {
                h[i] = rounded(h[i] + rounded((float)alpha * run_at(&r, r.q, k, i)[j]));
            }
            v = beta > 0.0 ? rounded(rounded((float)beta * v) + ghat) : ghat;
            x = rounded(x - rounded((float)lr * v));
            x = rounded(soft(x, (float)(lr * l1)) / (float)(1.0 + lr * l2));
            cr_assert_eq(x, run_at(&r, r.x, k, 0)[j], "%s: x[%zu] after step %d", spec, j, k);
            cr_assert_eq(v, run_at(&r, r.v, k, 0)[j], "%s: v[%zu] after step %d", spec, j, k);
            for (int i = 0; alpha > 0.0 && i < PEERS; i++) {
                cr_assert_eq(h[i], run_at(&r, r.h, k, i)[j], "%s: h[%zu] of %d, step %d", spec, j,
                             i, k);
                cr_assert_eq(hbar, run_at(&r, r.hbar, k, i)[j], "%s: hbar[%zu] of %d, step %d",
                             spec, j, i, k);
            }
        }
    }
    run_free(&r);
    quadratic_free(&q);
}

Test(optim_steps, diana_is_the_published_algorithm_on_the_decoded_messages)
{
    follow("diana", TERNARY, 0.0, 0.0, 0.0, 0.4);
    follow("diana:alpha=0.15", FOUR_BITS, 0.0, 0.0, 0.0, 0.15);
    follow("diana:momentum=0.8,prox_l1=0.3,prox_l2=0.2", TERNARY, 0.8, 0.3, 0.2, 0.4);
}

Test(optim_steps, sgd_is_the_published_algorithm_on_the_decoded_messages)
{
    follow("sgd", TERNARY, 0.0, 0.0, 0.0, 0.0);
    follow("sgd:momentum=0.8,prox_l1=0.3,prox_l2=0.2", FOUR_BITS, 0.8, 0.3, 0.2, 0.0);
}

/* The same in double, as state=f64 keeps it; what is seen is rounded. */
static void follow_wide(const char *spec, double beta, double l1, double l2, double alpha)
{
    enum { PEERS = 3, STEPS = 40 };
    const double lr = 0.11;
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    run r = run_of(&q, spec, "0.11", TERNARY, STEPS);
    run_all(&r);
    for (size_t j = 0; j < COUNT; j++) {
        volatile double x = 0.0, v = 0.0, hbar = 0.0, h = 0.0, ghat, product;

        for (int k = 1; k <= STEPS; k++) {
            float sum = run_at(&r, r.q, k, 0)[j];

            for (int i = 1; i < PEERS; i++) {
                sum = rounded(sum + run_at(&r, r.q, k, i)[j]);
            }
            const double mean = (double)rounded(sum / (float)PEERS);
            ghat = hbar + mean;
            product = alpha * mean;
            hbar = hbar + product;
            product = alpha * (double)run_at(&r, r.q, k, 1)[j];
            h = h + product;
            product = beta * v;
            v = product + ghat;
            product = lr * v;
            x = x - product;
            product = fmax(fabs(x) - lr * l1, 0.0);
            x = copysign(product, x) / (1.0 + lr * l2);
            cr_assert_eq((float)x, run_at(&r, r.x, k, 0)[j], "%s: x[%zu], step %d", spec, j, k);
            cr_assert_eq((float)v, run_at(&r, r.v, k, 0)[j], "%s: v[%zu], step %d", spec, j, k);
            cr_assert(alpha <= 0.0 || (float)h == run_at(&r, r.h, k, 1)[j], "%s: h[%zu], step %d",
                      spec, j, k);
            cr_assert(alpha <= 0.0 || (float)hbar == run_at(&r, r.hbar, k, 2)[j],
                      "%s: hbar[%zu], step %d", spec, j, k);
        }
    }
    run_free(&r);
    quadratic_free(&q);
}

Test(optim_steps, state_in_double_follows_the_published_algorithm_in_double)
{
    follow_wide("diana:state=f64", 0.0, 0.0, 0.0, 0.4);
    follow_wide("diana:momentum=0.8,prox_l1=0.3,prox_l2=0.2,state=f64", 0.8, 0.3, 0.2, 0.4);
    follow_wide("sgd:momentum=0.8,prox_l1=0.3,prox_l2=0.2,state=f64", 0.8, 0.3, 0.2, 0.0);
}

/* With so small a step binary32 stops where lr v is below half a unit in the last place of x. */
Test(optim_steps, state_in_double_goes_on_where_binary32_stops)
{
    quadratic q;
    double gap[2];
    const char *const either[] = {"gd", "gd:state=f64"};

    quadratic_make(&q, 2, COUNT);
    for (int i = 0; i < 2; i++) {
        run r = run_of(&q, either[i], "0.02", "raw", 5000);
        r.keep = 0;
        run_all(&r);
        gap[i] = quadratic_gap(&q, r.last[0], 0.0, 0.0);
        run_free(&r);
    }
    cr_expect_gt(gap[0], 20.0 * fabs(gap[1]), "f32 comes to %g, f64 to %g", gap[0], gap[1]);
    quadratic_free(&q);
}

static void jump(weft_group *group, int rank, void *user)
{
    int *right = user;
    const weft_optim_opts opts = {.size = sizeof(opts), .lr = "0.25"};
    weft_optim *o = NULL;
    float x[2] = {0.0f, 0.0f};
    const float g[2] = {1.0f, 1.0f};

    *right = weft_optim_open(&o, group, "gd:state=f64", 2, &opts) == WEFT_OK &&
             weft_optim_step(o, x, g) == WEFT_OK && rank == 0;
    x[1] = 8.0f; /* another model from here on */
    *right = *right && weft_optim_step(o, x, g) == WEFT_OK && x[0] == -0.5f && x[1] == 7.75f;
    weft_optim_close(&o);
}

Test(optim_steps, state_in_double_takes_a_model_that_the_caller_changed)
{
    int right = 0;

    peers_run(1, jump, &right);
    cr_expect(right);
}

/* The first message is Q(g), with the random numbers of step 1, this peer and the group's seed. */
Test(optim_steps, messages_draw_by_step_and_peer)
{
    quadratic q;
    weft_codec *codec = NULL;
    unsigned char bytes[4096];
    float want[COUNT];

    quadratic_make(&q, 3, COUNT);
    run r = run_of(&q, "sgd", "theory", TERNARY, 5);
    run_all(&r);
    cr_assert_eq(weft_codec_open(&codec, TERNARY), WEFT_OK);
    cr_assert_leq(weft_codec_bound(codec, COUNT), sizeof(bytes));
    for (int k = 1; k <= r.steps; k++) {
        for (int i = 0; i < 3; i++) {
            const weft_draw draw = {.seed = 42, .member = (uint32_t)i, .draw = (uint64_t)k};
            size_t len = 0;

            cr_assert_eq(weft_codec_encode(codec, &draw, run_at(&r, r.gradient, k, i), COUNT, bytes,
                                           sizeof(bytes), &len),
                         WEFT_OK);
            cr_assert_eq(weft_codec_decode(codec, bytes, len, want, COUNT), WEFT_OK);
            cr_expect_arr_eq(want, run_at(&r, r.q, k, i), sizeof(want), "step %d, rank %d", k, i);
        }
    }
    weft_codec_close(&codec);
    run_free(&r);
    quadratic_free(&q);
}

static void expect_same_run(const char *spec1, const char *spec2, const char *codec)
{
    quadratic q;

    quadratic_make(&q, 4, COUNT);
    run a = run_of(&q, spec1, "0.2", codec, 60), b = run_of(&q, spec2, "0.2", codec, 60);
    run_all(&a);
    run_all(&b);
    for (int k = 1; k <= a.steps; k++) {
        cr_assert_arr_eq(run_at(&a, a.x, k, 0), run_at(&b, b.x, k, 0), vector_bytes(&a),
                         "%s and %s differ after step %d", spec1, spec2, k);
    }
    run_free(&a);
    run_free(&b);
    quadratic_free(&q);
}

Test(optim_steps, diana_without_loss_is_proximal_gradient_descent_bit_for_bit)
{
    expect_same_run("diana", "gd", "raw");
    expect_same_run("diana:momentum=0.7,state=f64", "gd:momentum=0.7,state=f64", "raw");
    expect_same_run("diana:momentum=0.7,prox_l1=0.1,prox_l2=0.3",
                    "gd:momentum=0.7,prox_l1=0.1,prox_l2=0.3", "raw");
}

Test(optim_steps, diana_with_alpha_0_is_sgd_bit_for_bit)
{
    expect_same_run("diana:alpha=0", "sgd", TERNARY);
    expect_same_run("diana:alpha=0,momentum=0.7,prox_l1=0.1", "sgd:momentum=0.7,prox_l1=0.1",
                    FOUR_BITS);
}

Test(optim_steps, diana_reaches_the_optimum_where_sgd_stalls)
{
    quadratic q;

    quadratic_make(&q, 4, 64);
    const float zero[64] = {0};
    const double start = quadratic_gap(&q, zero, 0.0, 0.0);
    run with = run_of(&q, "diana", "theory", TERNARY, 800);
    run without = run_of(&q, "sgd", "theory", TERNARY, 800);
    with.keep = 0;
    run_all(&with);
    run_all(&without);
    const double reached = quadratic_gap(&q, with.last[0], 0.0, 0.0);
    double floor = 0.0;
    for (int k = 701; k <= 800; k++) {
        floor += quadratic_gap(&q, run_at(&without, without.x, k, 0), 0.0, 0.0) / 100.0;
    }
    cr_expect_lt(reached, 1e-11 * start, "diana stays at %g of %g", reached, start);
    cr_expect_gt(floor, 1e-4 * start, "sgd comes to %g of %g", floor, start);
    run_free(&with);
    run_free(&without);
    quadratic_free(&q);
}

Test(optim_steps, diana_with_prox_reaches_the_regularized_optimum)
{
    quadratic q;
    const double l1 = 0.3, l2 = 0.2;

    quadratic_make(&q, 4, 64);
    run r = run_of(&q, "diana", "theory", TERNARY, 800);
    r.keep = 0;
    r.opts.l1 = l1;
    r.opts.l2 = l2;
    run_all(&r);
    cr_expect_lt(fabs(quadratic_gap(&q, r.last[0], l1, l2)), 1e-10);
    int zeros = 0;
    for (size_t j = 0; j < q.count; j++) {
        const int dead = fabs(q.mean_a[j] * q.center[j]) <= 0.99 * l1;
        zeros += dead;
        cr_expect(!dead || r.last[0][j] == 0.0f, "x[%zu] = %g is not 0", j, (double)r.last[0][j]);
    }
    cr_expect_gt(zeros, 0, "the problem has no coordinate that l1 makes 0");
    run_free(&r);
    quadratic_free(&q);
}

/* Farthest element of hbar from the mean of all h after a step; largest |h| and |D_i| so far. */
static double drift(const run *r, int step)
{
    double worst = 0.0;

    for (size_t j = 0; j < r->problem->count; j++) {
        double mean = 0.0;

        for (int i = 0; i < r->problem->peers; i++) {
            mean += (double)run_at(r, r->h, step, i)[j] / r->problem->peers;
        }
        worst = fmax(worst, fabs(mean - (double)run_at(r, r->hbar, step, 0)[j]));
    }
    return worst;
}

static double largest(const run *r, float *vectors)
{
    const size_t all = (size_t)(r->steps + 1) * (size_t)r->problem->peers * r->problem->count;
    double most = 0.0;

    for (size_t k = 0; k < all; k++) {
        most = fmax(most, fabs((double)vectors[k]));
    }
    return most;
}

Test(optim_steps, hbar_is_the_mean_of_the_memories_but_for_rounding)
{
    quadratic q;

    quadratic_make(&q, 4, COUNT);
    run r = run_of(&q, "diana", "theory", TERNARY, 1000);
    run_all(&r);
    /* A step rounds alpha D and the sum, in hbar and in the mean of the h. */
    const double each =
        0x1p-24 * 2.0 * (0.4 * largest(&r, r.q) + fmax(largest(&r, r.h), largest(&r, r.hbar)));
    for (int k = 1; k <= r.steps; k += 9) {
        cr_assert_leq(drift(&r, k), each * k, "after step %d", k);
    }
    cr_expect_gt(largest(&r, r.h), 0.1, "the memories never moved");
    run_free(&r);
    quadratic_free(&q);
}

Test(optim_steps, memories_learn_the_gradients_at_the_optimum)
{
    quadratic q;
    float best[COUNT], g[COUNT];

    quadratic_make(&q, 3, COUNT);
    run r = run_of(&q, "diana", "theory", TERNARY, 800);
    run_all(&r);
    for (size_t j = 0; j < COUNT; j++) {
        best[j] = (float)q.center[j];
    }
    for (int i = 0; i < 3; i++) {
        quadratic_gradient(&q, i, best, g);
        for (size_t j = 0; j < COUNT; j++) {
            cr_assert_float_eq(run_at(&r, r.h, 800, i)[j], g[j], 1e-4f, "h[%zu] of rank %d", j, i);
        }
    }
    run_free(&r);
    quadratic_free(&q);
}

Test(optim_steps, hbar_is_refreshed_after_ten_thousand_steps)
{
    quadratic q;

    quadratic_make(&q, 2, 3);
    run r = run_of(&q, "diana", "theory", TERNARY, 10001);
    run_all(&r);
    for (size_t j = 0; j < q.count; j++) {
        /* One step after the refresh hbar is that mean plus alpha D, both known to the bit. */
        const float h0 = run_at(&r, r.h, 10000, 0)[j], h1 = run_at(&r, r.h, 10000, 1)[j];
        const float q0 = run_at(&r, r.q, 10001, 0)[j], q1 = run_at(&r, r.q, 10001, 1)[j];
        const float mean = rounded(rounded(h0 + h1) / 2.0f);
        const float D = rounded(rounded(q0 + q1) / 2.0f);
        const double omega = (sqrt(3.0) - 1.0) / 2.0;

        cr_expect_eq(run_at(&r, r.hbar, 10001, 0)[j],
                     rounded(mean + rounded((float)(1.0 / (1.0 + omega)) * D)), "hbar[%zu]", j);
    }
    expect_same_everywhere(&r, r.hbar, "hbar");
    run_free(&r);
    quadratic_free(&q);
}

Test(optim_steps, cost_is_that_of_the_last_exchange)
{
    quadratic q;
    weft_codec *codec = NULL;

    quadratic_make(&q, 4, COUNT);
    run r = run_of(&q, "diana", "theory", TERNARY, 3);
    r.opts.algo = "gather";
    run_all(&r);
    cr_assert_eq(weft_codec_open(&codec, TERNARY), WEFT_OK);
    for (int i = 0; i < 4; i++) {
        cr_expect_gt(r.cost[i].encoded_bytes, 0);
        cr_expect_leq(r.cost[i].encoded_bytes, weft_codec_bound(codec, COUNT));
        /* Every peer's encoding goes to three others, by somebody. */
        cr_expect_gt(r.cost[i].wire_bytes_sent, r.cost[i].body_bytes_sent);
    }
    uint64_t encoded = 0, sent = 0;
    for (int i = 0; i < 4; i++) {
        encoded += r.cost[i].encoded_bytes;
        sent += r.cost[i].body_bytes_sent;
    }
    cr_expect_eq(sent, 3 * encoded);
    weft_codec_close(&codec);
    run_free(&r);
    quadratic_free(&q);
}

/* Steps that fail. */

typedef struct failing {
    const quadratic *q;
    const char *spec;
    int leaves;      /* 1: rank 1 leaves before step 6; 0: it calls something else once */
    const run *good; /* the same without failures */
    int code[2], again[2], kept[2], right[2];
} failing;

typedef struct picture {
    float x[COUNT], h[COUNT], hbar[COUNT], v[COUNT];
    uint64_t steps;
    weft_step_cost cost;
} picture;

static void copy(float *to, const float *from)
{
    if (from != NULL) {
        memcpy(to, from, COUNT * sizeof(float));
    }
}

static void take(picture *p, const weft_optim *o, const float *x)
{
    memset(p, 0, sizeof(*p));
    copy(p->x, x);
    copy(p->h, weft_optim_state(o, "h"));
    copy(p->hbar, weft_optim_state(o, "hbar"));
    copy(p->v, weft_optim_state(o, "v"));
    p->steps = weft_optim_steps(o);
    p->cost = weft_optim_cost(o);
}

static void fail_at_6(weft_group *group, int rank, void *user)
{
    failing *f = user;
    const weft_optim_opts opts = quadratic_opts(f->q, "0.2", TERNARY);
    weft_optim *o = NULL;
    picture *before = calloc(2, sizeof(*before)), *after = before + 1;
    float x[COUNT] = {0}, g[COUNT];

    f->again[rank] = weft_optim_open(&o, group, f->spec, COUNT, &opts);
    for (int k = 1; f->again[rank] == WEFT_OK && k <= 10; k++) {
        quadratic_gradient(f->q, rank, x, g);
        if (k == 6 && rank == 1 && f->leaves) {
            break;
        }
        if (k == 6) {
            take(before, o, x);
            f->code[rank] = rank == 1 ? weft_barrier(group, NULL) : weft_optim_step(o, x, g);
            take(after, o, x);
            f->kept[rank] = memcmp(before, after, sizeof(*before)) == 0;
        }
        /* Who did not fail in a step may have begun the next one: then that fails too, once. */
        for (int tries = 0; tries < 3; tries++) {
            f->again[rank] = weft_optim_step(o, x, g);
            if (f->again[rank] != WEFT_EMISMATCH) {
                break;
            }
        }
    }
    if (f->again[rank] == WEFT_OK && !f->leaves) {
        f->right[rank] = memcmp(x, run_at(f->good, f->good->x, 10, rank), sizeof(x)) == 0;
    }
    weft_optim_close(&o);
    free(before);
}

Test(optim_steps, a_failed_step_leaves_everything_and_can_be_tried_again)
{
    quadratic q;
    const char *const tried[] = {"sgd:momentum=0.5", "diana", "diana:momentum=0.5",
                                 "diana:momentum=0.5,state=f64"};

    quadratic_make(&q, 2, COUNT);
    for (size_t s = 0; s < sizeof(tried) / sizeof(tried[0]); s++) {
        run good = run_of(&q, tried[s], "0.2", TERNARY, 10);
        failing f = {.q = &q, .spec = tried[s], .good = &good};

        run_all(&good);
        peers_run(2, fail_at_6, &f);
        cr_expect_eq(f.code[0], WEFT_EMISMATCH, "%s: %s", tried[s], weft_status_name(f.code[0]));
        cr_expect(f.kept[0], "%s: the failed step changed something", tried[s]);
        for (int i = 0; i < 2; i++) {
            cr_expect_eq(f.again[i], WEFT_OK, "%s, rank %d: %s", tried[s], i,
                         weft_status_name(f.again[i]));
            cr_expect(f.right[i], "%s, rank %d: other bits than without the failure", tried[s], i);
        }
        run_free(&good);
    }
    quadratic_free(&q);
}

Test(optim_steps, a_peer_that_leaves_fails_the_step_and_leaves_everything)
{
    quadratic q;
    const char *const tried[] = {"sgd", "diana:momentum=0.5"};

    quadratic_make(&q, 2, COUNT);
    for (size_t s = 0; s < sizeof(tried) / sizeof(tried[0]); s++) {
        failing f = {.q = &q, .spec = tried[s], .leaves = 1};

        peers_run(2, fail_at_6, &f);
        cr_expect_eq(f.code[0], WEFT_EPEER, "%s: %s", tried[s], weft_status_name(f.code[0]));
        cr_expect(f.kept[0], "%s: the failed step changed something", tried[s]);
        cr_expect(f.again[0] == WEFT_EPEER || f.again[0] == WEFT_EBROKEN, "%s: %s", tried[s],
                  weft_status_name(f.again[0]));
    }
    quadratic_free(&q);
}
