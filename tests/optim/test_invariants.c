/* SPDX-License-Identifier: Apache-2.0 */
/* What holds after any number of steps, by the proofs of the methods. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "optim_peers.h"
#include "support/share.h"
#include <weft/weft.h>

#define FOUR_BITS "qsgd:levels=7,bucket=4,norm=max"
#define TERNARY "qsgd:levels=1,bucket=4,norm=max"

/* Steps that laws are held to; fewer where the machine is slowed down. */
static int long_run(void)
{
    return (int)share_of(10000);
}

enum { COUNT = 12, STEPS = 10003, EARLY = 10, EVERY = 500, LOOKS = STEPS / EVERY + 5 };

/* Vectors of a peer at chosen steps. */
typedef struct glance {
    int step;
    float x[COUNT], h[COUNT], hbar[COUNT], residual[COUNT];
    double sent[COUNT]; /* sum of lr g so far */
} glance;

typedef struct job {
    const quadratic *q;
    const char *spec, *lr, *codec, *algo, *reply, *schedule;
    int steps;
    int whole; /* 1: gradients are integers that depend on step and peer alone */
    int rows;  /* of a peer, when not 0: minibatches of one */
    double noise;
    int looks[PEERS_MAX];
    glance seen[PEERS_MAX][LOOKS];
    float x[PEERS_MAX][COUNT];
    int code[PEERS_MAX];
    char text[PEERS_MAX][256];
} job;

typedef struct place {
    const job *j;
    int rank;
    float last[COUNT]; /* the gradient that was given last */
} place;

/* Rows differ in their linear terms, which have the mean 0: noise that does not end at the optimum.
 */
static int gradient(void *user, weft_rows rows, uint64_t draw, const float *x, float *ret)
{
    place *p = user;
    const job *j = p->j;

    quadratic_gradient(j->q, p->rank, x, ret);
    for (int i = 0; j->rows > 0 && rows == WEFT_ROWS_BATCH && i < COUNT; i++) {
        const int row =
            (int)((draw * 7 + draw / 13 + (uint64_t)(p->rank * 3 + i)) % (uint64_t)j->rows);
        ret[i] += (float)(j->noise * (2 * row - j->rows + 1));
    }
    for (int i = 0; j->whole && i < COUNT; i++) {
        ret[i] = (float)((int)((draw * 31 + (uint64_t)(i * i * 5 + p->rank * 17)) % 23) - 11);
    }
    memcpy(p->last, ret, sizeof(p->last));
    return 0;
}

static void copy(float *to, const float *from)
{
    if (from != NULL) {
        memcpy(to, from, COUNT * sizeof(float));
    }
}

static void work(weft_group *group, int rank, void *user)
{
    job *j = user;
    place p = {.j = j, .rank = rank};
    weft_optim_opts opts = quadratic_opts(j->q, j->lr, j->codec);
    weft_optim *o = NULL;
    double sent[COUNT] = {0};
    float *x = j->x[rank];

    opts.algo = j->algo;
    opts.reply_codec = j->reply;
    opts.schedule = j->schedule;
    opts.smoothness.minibatch = j->rows > 0;
    j->code[rank] = weft_optim_open(&o, group, j->spec, COUNT, &opts);
    for (int k = 1; j->code[rank] == WEFT_OK && k <= j->steps; k++) {
        const double lr = (double)(float)weft_optim_lr(o);
        j->code[rank] = weft_optim_advance(o, x, gradient, &p);
        for (int i = 0; i < COUNT; i++) {
            sent[i] += lr * (double)p.last[i];
        }
        if ((k == EARLY || k % EVERY == 0 || k > j->steps - 2) && j->looks[rank] < LOOKS) {
            glance *g = &j->seen[rank][j->looks[rank]++];
            g->step = k;
            copy(g->x, x);
            copy(g->h, weft_optim_state(o, "h"));
            copy(g->hbar, weft_optim_state(o, "hbar"));
            copy(g->residual, weft_optim_state(o, "residual"));
            memcpy(g->sent, sent, sizeof(sent));
        }
    }
    snprintf(j->text[rank], sizeof(j->text[rank]), "%s", weft_last_error()->message);
    weft_optim_close(&o);
}

static void run_job(job *j, int peers)
{
    peers_run(peers, work, j);
    for (int r = 0; r < peers; r++) {
        cr_assert_eq(j->code[r], WEFT_OK, "%s, codec %s: %s", j->spec, j->codec, j->text[r]);
        cr_assert_arr_eq(j->x[r], j->x[0], sizeof(j->x[0]), "%s: rank %d", j->spec, r);
    }
}

static double gap_share(const job *j)
{
    static const float zero[COUNT];

    return quadratic_gap(j->q, j->x[0], 0.0, 0.0) / quadratic_gap(j->q, zero, 0.0, 0.0);
}

/* --- memories ------------------------------------------------------------------------------ */

/* The owner of a span has it in hbar; others need not. */
static double off_mean(const job *j, int peers, int look, int i)
{
    double mean = 0.0, least = (double)INFINITY;

    for (int r = 0; r < peers; r++) {
        mean += (double)j->seen[r][look].h[i] / peers;
    }
    for (int r = 0; r < peers; r++) {
        const double off = fabs((double)j->seen[r][look].hbar[i] - mean);
        least = j->reply == NULL && r > 0 ? fmax(least, off) : fmin(least, off);
    }
    return least;
}

Test(invariants, hbar_is_the_mean_of_the_memories_which_are_the_gradients_at_the_optimum)
{
    static job j;
    static const job runs[] = {
        {.spec = "diana", .lr = "theory", .codec = TERNARY},
        {.spec = "diana",
         .lr = "theory",
         .codec = FOUR_BITS,
         .algo = "scatter",
         .reply = FOUR_BITS},
        {.spec = "diana:state=f64", .lr = "theory", .codec = TERNARY},
        {.spec = "ef21", .lr = "theory", .codec = "topk:k=3"},
    };
    enum { PEERS = 3 };
    quadratic q;
    float best[COUNT], g[COUNT];

    quadratic_make(&q, PEERS, COUNT);
    for (int i = 0; i < COUNT; i++) {
        best[i] = (float)q.center[i];
    }
    for (size_t s = 0; s < sizeof(runs) / sizeof(runs[0]); s++) {
        j = runs[s];
        j.q = &q;
        j.steps = STEPS;
        run_job(&j, PEERS);
        cr_assert_geq(j.looks[0], STEPS / EVERY);
        for (int l = 0; l < j.looks[0]; l++) {
            /* A step rounds both by half a unit in the last place of numbers below 4; the refresh
             * before step 10001 leaves what one or two steps round. */
            const int since =
                j.seen[0][l].step > 10000 ? j.seen[0][l].step - 10000 : j.seen[0][l].step;
            for (int i = 0; i < COUNT; i++) {
                cr_assert_leq(off_mean(&j, PEERS, l, i),
                              0x1p-22 * (1.0 + sqrt((double)since) / 2.0),
                              "%s, step %d, element %d", j.spec, j.seen[0][l].step, i);
            }
        }
        for (int r = 0; r < PEERS; r++) {
            quadratic_gradient(&q, r, best, g);
            for (int i = 0; i < COUNT; i++) {
                cr_expect_float_eq(j.seen[r][j.looks[r] - 1].h[i], g[i], 2e-5f, "%s: h[%d] of %d",
                                   j.spec, i, r);
            }
        }
        cr_expect_lt(gap_share(&j), 1e-9, "%s", j.spec);
    }
    quadratic_free(&q);
}

/* --- error feedback ------------------------------------------------------------------------ */

/* x_t - (1/P) sum eps = x_0 - (1/P) sum of all lr g: `units` in the last place of the largest
 * number that is summed, in each step; 0: exact. */
static void virtual_iterate(job *j, int peers, double units)
{
    run_job(j, peers);
    for (int l = 0; l < j->looks[0]; l++) {
        double lost = 0.0;
        for (int i = 0; i < COUNT; i++) {
            double residuals = 0.0, sent = 0.0, most = 1.0;
            for (int r = 0; r < peers; r++) {
                const glance *g = &j->seen[r][l];
                residuals += (double)g->residual[i];
                sent += g->sent[i];
                most = fmax(most, fmax(fabs((double)g->residual[i]), fabs((double)g->x[i])));
                lost = fmax(lost, fabs((double)g->residual[i]));
            }
            const double off = peers * (double)j->seen[0][l].x[i] - residuals + sent;
            cr_assert_leq(fabs(off),
                          units * 0x1p-24 * most * peers * sqrt((double)j->seen[0][l].step),
                          "%s, codec %s, algo %s, step %d, element %d: off by %g", j->spec,
                          j->codec, j->algo, j->seen[0][l].step, i, off);
        }
        cr_assert_gt(lost, 0.0, "%s: nothing was ever lost", j->codec);
    }
}

Test(invariants, error_feedback_loses_nothing_whatever_the_step_size)
{
    static job j;
    static const char *const codecs[] = {"topk:k=2", "sign", "onebit", FOUR_BITS};
    static const char *const schedules[] = {"constant", "inverse:rate=0.01,warmup=50"};
    quadratic q;

    quadratic_make(&q, 3, COUNT);
    for (size_t c = 0; c < 4; c++) {
        for (size_t s = 0; s < 2; s++) {
            j = (job){.q = &q, .spec = "ef", .lr = "0.05", .steps = long_run()};
            j.steps /= s == 0 ? 1 : 4; /* steps of the other schedule come to be short */
            j.codec = codecs[c];
            j.schedule = schedules[s];
            virtual_iterate(&j, 3, 16.0);
        }
    }
    quadratic_free(&q);
}

Test(invariants, gtopk_conserves_every_unit_by_all_rules)
{
    static job j;
    static const struct {
        const char *algo;
        int peers;
    } ways[] = {{"gtopk_butterfly:residual=patch", 4}, {"gtopk_butterfly:residual=keep", 4},
                {"gtopk_butterfly:residual=hash", 4},  {"gtopk_tree:residual=patch", 4},
                {"gtopk_tree:residual=keep", 4},       {"gtopk_butterfly:residual=patch", 2}};
    quadratic q;

    for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
        quadratic_make(&q, ways[w].peers, COUNT);
        /* Integers over 2 or 4: no rounding anywhere. The step size halves now and then. */
        j = (job){.q = &q, .spec = "gtopk", .lr = "4", .codec = "topk:k=2", .whole = 1};
        j.steps = long_run();
        j.algo = ways[w].algo;
        j.schedule = w % 2 == 0 ? "constant" : "step:every=2500,factor=0.5";
        virtual_iterate(&j, ways[w].peers, 0.0);
        quadratic_free(&q);
    }
}

/* --- methods that are another one ---------------------------------------------------------- */

/* NULL ends the others, which differ in nothing but the method. */
static void same_bits(job one, const char *const *others, int peers)
{
    static job first, other;

    first = one;
    run_job(&first, peers);
    for (; *others != NULL; others++) {
        other = one;
        other.spec = *others;
        run_job(&other, peers);
        cr_assert_gt(first.looks[0], 1);
        for (int l = 0; l < first.looks[0]; l++) { /* the last alone may be where all settle */
            cr_assert_arr_eq(first.seen[0][l].x, other.seen[0][l].x, sizeof(first.x[0]),
                             "%s and %s, codec %s: step %d", first.spec, other.spec, first.codec,
                             first.seen[0][l].step);
        }
    }
}

Test(invariants, methods_that_come_down_to_another_one_have_its_bits)
{
    enum { PEERS = 3 };
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    job j = {.q = &q, .spec = "gd", .lr = "0.3", .codec = "raw", .steps = long_run()};
    same_bits(j, (const char *const[]){"sgd", "diana", NULL}, PEERS);
    j.codec = FOUR_BITS;
    j.spec = "sgd:momentum=0.5,prox_l1=0.01";
    same_bits(j, (const char *const[]){"diana:alpha=0,momentum=0.5,prox_l1=0.01", NULL}, PEERS);
    j.algo = "scatter";
    j.spec = "qsgd";
    same_bits(j, (const char *const[]){"diana:alpha=0", NULL}, PEERS);
    quadratic_free(&q);
}

/* --- minibatches --------------------------------------------------------------------------- */

Test(invariants, variance_reduction_converges_on_minibatches_where_sgd_stalls)
{
    static job j;
    static const char *const specs[] = {"sgd", "vr_diana:period=10", "qsvrg:inner=50"};
    double share[3];
    quadratic q;

    quadratic_make(&q, 3, COUNT);
    for (int i = 0; i < 3; i++) {
        j = (job){.q = &q, .spec = specs[i], .lr = "0.1", .codec = FOUR_BITS, .steps = 2000};
        j.rows = 9;
        j.noise = 0.1;
        run_job(&j, 3);
        share[i] = gap_share(&j);
    }
    cr_expect_gt(share[0], 1e-5, "sgd comes to %g", share[0]);
    cr_expect_lt(share[1], 1e-9, "vr_diana stays at %g", share[1]);
    cr_expect_lt(share[2], 1e-9, "qsvrg stays at %g", share[2]);
    quadratic_free(&q);
}

/* --- votes --------------------------------------------------------------------------------- */

/* m_i and the majority worked out here; `whole` gradients depend on the step and the peer alone. */
static void votes_of(int peers)
{
    static job j;
    quadratic q;
    float m[PEERS_MAX][COUNT] = {{0}}, x[COUNT] = {0}, g[COUNT];
    const float nothing[COUNT] = {0};

    quadratic_make(&q, peers, COUNT);
    j = (job){.q = &q, .spec = "signum:beta=0.75", .lr = "0.125", .steps = 200, .whole = 1};
    run_job(&j, peers);
    for (int k = 0; k < j.steps; k++) {
        int sum[COUNT] = {0};
        for (int r = 0; r < peers; r++) {
            place p = {.j = &j, .rank = r};
            gradient(&p, WEFT_ROWS_BATCH, (uint64_t)k, nothing, g);
            for (int i = 0; i < COUNT; i++) {
                volatile float old = 0.75f * m[r][i], new = 0.25f * g[i];
                m[r][i] = old + new;
                sum[i] += m[r][i] < 0.0f ? -1 : 1;
            }
        }
        for (int i = 0; i < COUNT; i++) {
            x[i] -= sum[i] > 0 ? 0.125f : -0.125f;
        }
    }
    cr_expect_arr_eq(j.x[0], x, sizeof(x), "%d peers", peers);
    quadratic_free(&q);
}

Test(invariants, signum_follows_the_majority_of_1_3_and_9_momenta)
{
    votes_of(1);
    votes_of(3);
    votes_of(9);
}

/* A peer that has always 0 votes by a new coin in every step: none that it remembers. */
Test(invariants, zeros_are_voted_by_a_new_coin_in_every_step)
{
    static job j;
    quadratic q;
    int ups = 0, turns = 0, last = 0;

    quadratic_make(&q, 1, COUNT);
    for (int i = 0; i < COUNT; i++) {
        q.a[i] = 0.0;
    }
    for (int steps = 1; steps <= 64; steps++) {
        j = (job){.q = &q, .spec = "signum:zeros=random,beta=0.9", .lr = "1", .steps = steps};
        run_job(&j, 1);
        const int at = (int)j.x[0][3], up = at > last;
        turns += steps > 1 && up != (ups & 1);
        ups = (ups & ~1) + up + 2 * up;
        last = at;
    }
    cr_expect_gt(turns, 15, "%d turns in 64 throws", turns);
    cr_expect_leq(abs(last), 32, "the element walked to %d", last);
    quadratic_free(&q);
}

/* --- the clip is of gradients, and what goes as it is keeps its momentum ------------------- */

typedef struct clip {
    const char *spec, *codec;
    float got[2];
    int code;
} clip;

static void clipped(weft_group *group, int rank, void *user)
{
    clip *c = user;
    const weft_tensor two[] = {{"w", 1}, {"b", 1}};
    const int parted = strstr(c->spec, "correction") != NULL;
    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = "0.125",
                                  .codec = c->codec,
                                  .tensors = parted ? two : NULL,
                                  .tensor_count = parted ? 2 : 0,
                                  .small = 1,
                                  .raw = parted ? "b" : NULL};
    weft_optim *o = NULL;
    float x[2] = {0};
    const float g[2] = {3.0f, 4.0f};

    (void)rank;
    c->code = weft_optim_open(&o, group, c->spec, 2, &opts);
    for (int k = 0; c->code == WEFT_OK && k < (parted ? 2 : 1); k++) {
        c->code = weft_optim_step(o, x, g);
    }
    memcpy(c->got, x, sizeof(x));
    weft_optim_close(&o);
}

Test(invariants, clip_shortens_gradients_of_all_methods_alike)
{
    static const char *const specs[] = {"gd:clip=2.5", "ef:clip=2.5", "sgd:clip=2.5,momentum=0.5"};

    for (int i = 0; i < 3; i++) {
        clip c = {.spec = specs[i], .codec = "raw"};
        peers_run(1, clipped, &c);
        cr_assert_eq(c.code, WEFT_OK);
        cr_expect_float_eq(c.got[0], -0.125f * 1.5f, 1e-7f, "%s: %g", specs[i], (double)c.got[0]);
        cr_expect_float_eq(c.got[1], -0.125f * 2.0f, 1e-7f, "%s: %g", specs[i], (double)c.got[1]);
    }
}

Test(invariants, correction_masks_the_momentum_of_selected_elements_alone)
{
    clip c = {.spec = "gtopk:momentum=0.5,correction=yes", .codec = "topk:k=1"};

    peers_run(1, clipped, &c);
    cr_assert_eq(c.code, WEFT_OK);
    cr_expect_eq(c.got[0], -0.125f * (3.0f + 3.0f), "sent each time: no momentum");
    cr_expect_eq(c.got[1], -0.125f * (4.0f + 6.0f), "as it is: momentum");
}

Test(invariants, a_schedule_that_ends_at_0_leaves_a_model_of_numbers)
{
    static job j;
    quadratic q;

    quadratic_make(&q, 2, COUNT);
    j = (job){.q = &q, .spec = "gtopk:momentum=0.5,correction=yes,clip=1", .lr = "0.1"};
    j.codec = "topk:k=2";
    j.schedule = "cosine:steps=10";
    j.steps = 20;
    run_job(&j, 2);
    for (int i = 0; i < COUNT; i++) {
        cr_expect(isfinite(j.x[0][i]));
    }
    quadratic_free(&q);
}
