/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is published of votes of signs (Bernstein et al. 2018), on problems with known answers. Both
 * tests print their table.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/rng.h"
#include "optim_peers.h"
#include <weft/weft.h>

static const int voters[] = {1, 3, 9, 27, 81};

enum { VOTERS = sizeof(voters) / sizeof(voters[0]) };

static weft_rng stream(int rank, int what)
{
    return (weft_rng){.state = 0xD1342543DE82EF95U * (uint64_t)(rank + 1) + (uint64_t)what};
}

/* --- how often a vote is wrong ------------------------------------------------------------------
 */

enum { COORDINATES = 4096, VOTES = 5 };

static const double noise = 10.0; /* standard deviation, of a gradient of 1 */

typedef struct poll {
    size_t wrong;
    int code[PEERS_MAX];
} poll;

static void vote(weft_group *group, int rank, void *user)
{
    poll *p = user;
    const weft_optim_opts opts = {.size = sizeof(opts), .lr = "1"};
    weft_rng rng = stream(rank, 1);
    weft_optim *o = NULL;
    float *g = malloc(COORDINATES * sizeof(*g)), *x = malloc(COORDINATES * sizeof(*x));
    int code = weft_optim_open(&o, group, "signsgd", COORDINATES, &opts);

    for (int k = 0; k < VOTES && code == WEFT_OK; k++) {
        for (size_t j = 0; j < COORDINATES; j++) {
            g[j] = (float)(1.0 + noise * peers_normal(&rng));
            x[j] = 0.0f;
        }
        code = weft_optim_step(o, x, g);
        for (size_t j = 0; j < COORDINATES && rank == 0; j++) {
            p->wrong += x[j] > 0.0f;
        }
    }
    p->code[rank] = code;
    weft_optim_close(&o);
    free(g);
    free(x);
}

/* Chance that fewer than half of an odd number of voters are right, each with chance right. */
static double chance_of_error(int count, double right)
{
    double sum = 0.0;

    for (int k = 0; 2 * k < count; k++) {
        sum += exp(lgamma(count + 1.0) - lgamma(k + 1.0) - lgamma(count - k + 1.0) +
                   k * log(right) + (count - k) * log(1.0 - right));
    }
    return sum;
}

Test(sign_laws, a_vote_of_m_errs_as_one_voter_with_noise_over_the_root_of_m)
{
    const double right = 0.5 * erfc(-1.0 / noise / sqrt(2.0));

    printf("| voters | vote errs | exact | one voter, noise x sqrt(pi/2)/sqrt(M) "
           "|\n|---|---|---|---|\n");
    for (int v = 0; v < VOTERS; v++) {
        const int m = voters[v];
        const double samples = (double)COORDINATES * VOTES;
        const double exact = chance_of_error(m, right);
        const double one = 0.5 * erfc(sqrt(m / 3.14159265358979323846) / noise);
        poll p = {0};

        peers_run(m, vote, &p);
        for (int r = 0; r < m; r++) {
            cr_assert_eq(p.code[r], WEFT_OK, "%d voters, rank %d: code %d", m, r, p.code[r]);
        }
        const double found = (double)p.wrong / samples;
        printf("| %d | %.4f | %.4f | %.4f |\n", m, found, exact, one);
        cr_expect_lt(fabs(found - exact), 5.0 * sqrt(exact * (1.0 - exact) / samples),
                     "%d voters: %g of the votes are wrong, %g are to be expected", m, found,
                     exact);
        /* The law itself: from three voters on the binomial is near its limit. */
        cr_expect(m == 1 || fabs(found - one) < 0.015, "%d voters: %g, the law of the root says %g",
                  m, found, one);
    }
}

/* --- noise on one coordinate --------------------------------------------------------------------
 */

enum { DIM = 100, STEPS = 300, LAST = 100, RATES = 4 };

typedef struct toy {
    const char *spec, *lr[RATES];
    double noise;
    int repeats;
    double best;  /* least mean of f over the last steps, of all rates */
    double clean; /* the part of it that is not of the noisy coordinate */
    int at;
    int code[PEERS_MAX];
} toy;

/* Once with one rate: mean over the last steps of f, and of f without coordinate 0. */
static int descend(weft_group *group, int rank, const toy *t, int rate, int repeat, double ret_f[2])
{
    const weft_optim_opts opts = {.size = sizeof(opts), .lr = t->lr[rate]};
    weft_rng rng = stream(rank, 2 + repeat);
    weft_optim *o = NULL;
    float x[DIM], g[DIM];
    int code = weft_optim_open(&o, group, t->spec, DIM, &opts);

    for (int j = 0; j < DIM; j++) {
        x[j] = 1.0f;
    }
    for (int k = 0; k < STEPS && code == WEFT_OK; k++) {
        memcpy(g, x, sizeof(g));
        g[0] += (float)(t->noise * peers_normal(&rng));
        code = weft_optim_step(o, x, g);
        for (int j = 0; j < DIM && k >= STEPS - LAST; j++) {
            const double part = 0.5 * (double)x[j] * (double)x[j] / LAST / t->repeats;
            ret_f[0] += part;
            ret_f[1] += j > 0 ? part : 0.0;
        }
    }
    weft_optim_close(&o);
    return code;
}

/* f = |x|^2 / 2 from x = 1; gradients have noise on coordinate 0. */
static void descend_all(weft_group *group, int rank, void *user)
{
    toy *t = user;
    int code = WEFT_OK;

    for (int i = 0; i < RATES && code == WEFT_OK; i++) {
        double f[2] = {0.0, 0.0};
        for (int r = 0; r < t->repeats && code == WEFT_OK; r++) {
            code = descend(group, rank, t, i, r, f);
        }
        if (rank == 0 && (i == 0 || f[0] < t->best)) {
            t->best = f[0];
            t->clean = f[1];
            t->at = i;
        }
    }
    t->code[rank] = code;
}

static void run_toy(toy *t, int peers)
{
    peers_run(peers, descend_all, t);
    for (int r = 0; r < peers; r++) {
        cr_assert_eq(t->code[r], WEFT_OK, "%s, %d peers, rank %d: code %d", t->spec, peers, r,
                     t->code[r]);
    }
}

/* Neither learns the noisy coordinate (f is 0.5 there at the start); signs learn all others, while
 * a mean must take steps so small that it does not get to them. */
Test(sign_laws, noise_on_one_coordinate_does_not_keep_signs_from_the_others)
{
    static const int peers[] = {1, 9}, repeats[] = {40, 6};

    printf("| peers | noise | gd: f (the clean part), best lr | signsgd: f (the clean part), best "
           "lr |\n"
           "|---|---|---|---|\n");
    for (int i = 0; i < 4; i++) {
        const int p = i / 2;
        toy means = {.spec = "gd", .lr = {"0.0025", "0.005", "0.01", "0.05"}};
        toy signs = {.spec = "signsgd", .lr = {"0.003", "0.005", "0.01", "0.02"}};
        means.noise = signs.noise = i % 2 == 0 ? 0.0 : 100.0;
        means.repeats = signs.repeats = i % 2 == 0 ? 1 : repeats[p];
        run_toy(&means, peers[p]);
        run_toy(&signs, peers[p]);
        printf("| %d | %g | %.3g (%.3g), %s | %.3g (%.3g), %s |\n", peers[p], means.noise,
               means.best, means.clean, means.lr[means.at], signs.best, signs.clean,
               signs.lr[signs.at]);
        if (means.noise > 0.0) {
            cr_expect_lt(signs.best, means.best / 3.0);
            cr_expect_lt(signs.clean, means.clean / 10.0);
        } else {
            cr_expect_lt(means.best, signs.best, "without noise a mean is better");
        }
    }
}
