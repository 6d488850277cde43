/* SPDX-License-Identifier: Apache-2.0 */
/* Methods where a general rule meets an edge. Groups are of threads. */
#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "optim_peers.h"
#include <weft/weft.h>

enum { COUNT = 40, PEERS = 3 };

typedef struct job {
    const quadratic *q;
    const char *spec, *codec;
    const weft_tensor *tensors; /* one; NULL: none */
    int steps, blind;           /* blind: element 0 never has a gradient */
    float x[PEERS][COUNT];
    int code[PEERS];
} job;

static void work(weft_group *group, int rank, void *user)
{
    job *j = user;
    weft_optim_opts opts = quadratic_opts(j->q, "0.05", j->codec);
    weft_optim *o = NULL;
    float g[COUNT], *x = j->x[rank];

    opts.tensors = j->tensors;
    opts.tensor_count = j->tensors != NULL;
    int code = weft_optim_open(&o, group, j->spec, COUNT, &opts);
    for (int k = 0; code == WEFT_OK && k < j->steps; k++) {
        quadratic_gradient(j->q, rank, x, g);
        g[0] = j->blind ? 0.0f : g[0];
        code = weft_optim_step(o, x, g);
    }
    j->code[rank] = code;
    weft_optim_close(&o);
}

static void run_job(job *j)
{
    peers_run(PEERS, work, j);
    for (int r = 0; r < PEERS; r++) {
        cr_assert_eq(j->code[r], WEFT_OK, "%s, rank %d: %s", j->spec, r,
                     weft_status_name(j->code[r]));
        cr_assert_eq(memcmp(j->x[r], j->x[0], sizeof(j->x[0])), 0, "%s: rank %d", j->spec, r);
    }
}

Test(corners, what_onebit_adam_never_saw_it_never_moves)
{
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    job j = {.q = &q, .spec = "onebit_adam:warmup=20", .steps = 120, .blind = 1};
    run_job(&j);
    cr_expect_eq(j.x[0][0], 0.0f, "it went to %g", (double)j.x[0][0]);
    cr_expect_gt(fabs((double)j.x[0][1]), 1e-3);
    quadratic_free(&q);
}

Test(corners, a_raw_tensor_has_no_memory_in_double_either)
{
    static const weft_tensor small[] = {{"x", COUNT}};
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    job diana = {.q = &q,
                 .spec = "diana:alpha=0.5,state=f64",
                 .codec = "qsgd:levels=7,bucket=8,norm=max",
                 .tensors = small,
                 .steps = 60};
    job plain = {.q = &q, .spec = "sgd:state=f64", .codec = "raw", .steps = 60};
    run_job(&diana);
    run_job(&plain);
    cr_expect_eq(memcmp(diana.x[0], plain.x[0], sizeof(plain.x[0])), 0);
    quadratic_free(&q);
}
