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

static double normal(weft_rng *rng)
{
    const double u = 1.0 - weft_rng_unit(rng), v = weft_rng_unit(rng);

    return sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979323846 * v);
}

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
            g[j] = (float)(1.0 + noise * normal(&rng));
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

enum { DIM = 100, STEPS = 300, LAST = 100, RATES = 6 };

typedef struct toy {
    const char *spec, *lr[RATES];
    double best; /* least mean of f over the last steps, of all rates */
    int at;
    int code[PEERS_MAX];
} toy;

/* f = |x|^2 / 2 from x = 1; gradients have noise of 100 N(0, 1) on coordinate 0. */
static void descend(weft_group *group, int rank, void *user)
{
    toy *t = user;
    int code = WEFT_OK;

    for (int i = 0; i < RATES && code == WEFT_OK; i++) {
        const weft_optim_opts opts = {
            .size = sizeof(opts), .lr = t->lr[i], .codec = t->spec[0] == 'g' ? "raw" : NULL};
        weft_rng rng = stream(rank, 2);
        weft_optim *o = NULL;
        float x[DIM], g[DIM];
        double f = 0.0;

        for (int j = 0; j < DIM; j++) {
            x[j] = 1.0f;
        }
        code = weft_optim_open(&o, group, t->spec, DIM, &opts);
        for (int k = 0; k < STEPS && code == WEFT_OK; k++) {
            memcpy(g, x, sizeof(g));
            g[0] += (float)(100.0 * normal(&rng));
            code = weft_optim_step(o, x, g);
            for (int j = 0; j < DIM && k >= STEPS - LAST; j++) {
                f += 0.5 * (double)x[j] * (double)x[j] / LAST;
            }
        }
        if (rank == 0 && (i == 0 || f < t->best)) {
            t->best = f;
            t->at = i;
        }
        weft_optim_close(&o);
    }
    t->code[rank] = code;
}

static double best_of(toy *t, int peers)
{
    peers_run(peers, descend, t);
    for (int r = 0; r < peers; r++) {
        cr_assert_eq(t->code[r], WEFT_OK, "%s, %d peers, rank %d: code %d", t->spec, peers, r,
                     t->code[r]);
    }
    return t->best;
}

Test(sign_laws, signs_do_not_mind_noise_on_one_coordinate)
{
    printf("| peers | gd: f, its best lr | signsgd: f, its best lr |\n|---|---|---|\n");
    for (int v = 0; v < 3; v++) {
        toy means = {.spec = "gd", .lr = {"0.0003", "0.001", "0.003", "0.01", "0.03", "0.1"}};
        toy signs = {.spec = "signsgd",
                     .lr = {"0.001", "0.002", "0.0035", "0.005", "0.01", "0.03"}};
        const double f = best_of(&means, voters[v]), s = best_of(&signs, voters[v]);

        printf("| %d | %.3g, %s | %.3g, %s |\n", voters[v], f, means.lr[means.at], s,
               signs.lr[signs.at]);
        /* The noise of a mean falls with the peers, signs never had it. */
        cr_expect_lt(s, f / 3.0, "%d peers: signs end at %g, means at %g", voters[v], s, f);
    }
}
