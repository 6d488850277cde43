/* SPDX-License-Identifier: Apache-2.0 */
/* All methods of the table: what holds for each of them. Groups are of threads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "optim_peers.h"
#include <weft/weft.h>

enum { COUNT = 67, ROWS = 8, PEERS = 3 };

/* A method, and what is to come of `steps` steps. */
typedef struct method {
    const char *spec, *lr, *codec, *algo, *reply, *schedule;
    int minibatch;
    double below; /* the gap after 600 steps, as a share of the first one */
} method;

static const method methods[] = {
    {.spec = "gd", .lr = "theory", .below = 1e-9},
    {.spec = "sgd:momentum=0.5", .lr = "0.1", .minibatch = 1, .below = 0.1},
    {.spec = "qsgd", .lr = "theory", .below = 0.05},
    {.spec = "terngrad", .lr = "theory", .below = 0.2},
    {.spec = "dqgd", .lr = "theory", .below = 0.5},
    {.spec = "diana", .lr = "theory", .codec = "qsgd:levels=1,bucket=8,norm=max", .below = 1e-9},
    {.spec = "diana:momentum=0.5,clip=5",
     .lr = "theory",
     .codec = "qsgd:levels=7,bucket=8,norm=max",
     .algo = "scatter",
     .reply = "qsgd:levels=7,bucket=8,norm=max",
     .below = 1e-8},
    {.spec = "vr_diana:period=8",
     .lr = "0.15",
     .codec = "qsgd:levels=7,bucket=8,norm=max",
     .minibatch = 1,
     .below = 1e-8},
    {.spec = "diana",
     .lr = "theory",
     .codec = "qsgd:levels=7,bucket=8,norm=max",
     .algo = "scatter",
     .reply = "raw",
     .below = 1e-9},
    {.spec = "qsvrg:inner=40", .lr = "0.15", .minibatch = 1, .below = 1e-6},
    {.spec = "qsvrg:inner=2", .lr = "0.15", .minibatch = 1, .below = 1e-6}, /* fails in a mean */
    {.spec = "signsgd", .lr = "0.05", .schedule = "sqrt", .below = 0.6},
    {.spec = "signum:beta=0.8,zeros=random", .lr = "0.05", .schedule = "sqrt", .below = 0.6},
    {.spec = "ef", .lr = "theory*0.05", .codec = "topk:density=0.1", .below = 0.02},
    {.spec = "ef:momentum=0.5", .lr = "0.1", .codec = "sign", .below = 0.05},
    {.spec = "gtopk:epoch=10",
     .lr = "0.03",
     .codec = "topk:k=8",
     .algo = "gtopk_butterfly",
     .below = 0.05},
    {.spec = "gtopk:momentum=0.5,correction=yes",
     .lr = "0.05",
     .codec = "topk:k=8",
     .algo = "gtopk_tree",
     .below = 0.2},
    {.spec = "ef21", .lr = "theory", .codec = "topk:density=0.1", .below = 1e-2},
    {.spec = "ef21:eta=0.3",
     .lr = "0.05",
     .codec = "topk:density=0.2",
     .minibatch = 1,
     .below = 0.1},
    {.spec = "onebit_adam:warmup=60", .lr = "0.05", .schedule = "sqrt", .below = 0.1},
    {.spec = "local:local=5,inner_lr=0.05,momentum=0.3",
     .lr = "0.7",
     .codec = "topk:density=0.3",
     .minibatch = 1,
     .below = 0.2},
};

enum { METHODS = sizeof(methods) / sizeof(methods[0]) };

/* One run of a method on each peer, in one of several ways. */
typedef struct job {
    const quadratic *q;
    const method *m;
    int steps;
    int stop;           /* saved there and gone on with by another optimizer; 0: never */
    int pieces;         /* 1: steps in pieces, out of order; 2: each second one */
    int tells;          /* the gradient function tells so many tensors as they become known */
    int quiet;          /* with tells: the rank that does not; -1: none */
    int fails;          /* 1: rank 1's gradient fails once in step 5 */
    size_t small;       /* of tensors; 0: one tensor */
    const char *prefix; /* of checkpoints */
    float *x[PEERS_MAX];
    int code[PEERS_MAX];
    char text[PEERS_MAX][256];
} job;

static const weft_tensor tensors[] = {{"a", 3}, {"b", 40}, {"c", 1}, {"d", 23}};

enum { TENSORS = sizeof(tensors) / sizeof(tensors[0]) };

/* Does the method ask for gradients itself? */
static int asks(const char *spec)
{
    return strncmp(spec, "vr_", 3) == 0 || strncmp(spec, "qsvrg", 5) == 0 ||
           strncmp(spec, "local", 5) == 0;
}

typedef struct oracle {
    const job *j;
    weft_optim *optim; /* NULL: the step is in pieces */
    int rank, fail;
} oracle;

/* The last `count` tensors, from the last on, and what may not be done before the function returns.
 */
static int tell(weft_optim *o, const float *g, int count)
{
    static const size_t first[TENSORS] = {0, 3, 43, 44};
    float x[COUNT] = {0};
    int bad = 0;

    for (size_t i = TENSORS; i-- > (size_t)(TENSORS - count);) {
        bad |= weft_optim_ready(o, i, g + first[i]) != WEFT_OK;
    }
    bad |= weft_optim_finish(o, x) != WEFT_EINVAL || weft_optim_begin(o, x) == WEFT_OK ||
           weft_optim_step(o, x, g) == WEFT_OK || weft_optim_ready(o, TENSORS, g) != WEFT_EINVAL;
    if (!asks(weft_optim_spec(o))) {
        bad |= weft_optim_ready(o, 3, g + 44) != WEFT_EINVAL;               /* again */
        bad |= count < TENSORS && weft_optim_ready(o, 0, x) != WEFT_EINVAL; /* from elsewhere */
    }
    return bad;
}

/* Rows add noise that is 0 in their sum, whatever x is. */
static int gradient(void *user, weft_rows rows, uint64_t draw, const float *x, float *ret)
{
    oracle *o = user;
    const int tells = o->optim != NULL && o->j->tells > 0 && o->rank != o->j->quiet;
    const int fail = o->fail-- == 1;

    if (fail && !tells) {
        return 1;
    }
    quadratic_gradient(o->j->q, o->rank, x, ret);
    if (o->j->m->minibatch && rows == WEFT_ROWS_BATCH) {
        const int row = (int)((draw * 5 + (uint64_t)o->rank * 3) % ROWS);
        for (size_t i = 0; i < COUNT; i++) {
            ret[i] += (float)(2 * row - ROWS + 1) * 0.05f;
        }
    }
    return (tells && tell(o->optim, ret, o->j->tells) != 0) || fail;
}

static int step_in_pieces(weft_optim *o, float *x, const float *g)
{
    static const size_t order[TENSORS] = {2, 0, 3, 1};
    int code = weft_optim_begin(o, x);

    for (size_t i = 0; code == WEFT_OK && i < TENSORS; i++) {
        size_t first = 0;
        for (size_t t = 0; t < order[i]; t++) {
            first += tensors[t].count;
        }
        code = weft_optim_ready(o, order[i], g + first);
    }
    return code == WEFT_OK ? weft_optim_finish(o, x) : code;
}

static int one_step(const job *j, weft_optim *o, oracle *from, float *x)
{
    float g[COUNT];

    from->optim = o;
    if (j->pieces == 0 || (j->pieces == 2 && weft_optim_steps(o) % 2 == 1)) {
        return weft_optim_advance(o, x, gradient, from);
    }
    from->optim = NULL;
    gradient(from, WEFT_ROWS_BATCH, weft_optim_steps(o), x, g);
    return step_in_pieces(o, x, g);
}

static int open_it(const job *j, weft_group *group, weft_optim **ret)
{
    weft_optim_opts opts = quadratic_opts(j->q, j->m->lr, j->m->codec);

    opts.algo = j->m->algo;
    opts.reply_codec = j->m->reply;
    opts.schedule = j->m->schedule;
    opts.smoothness.minibatch = j->m->minibatch;
    if (j->small > 0) {
        opts.tensors = tensors;
        opts.tensor_count = TENSORS;
        opts.small = j->small;
    }
    return weft_optim_open(ret, group, j->m->spec, COUNT, &opts);
}

static void work(weft_group *group, int rank, void *user)
{
    job *j = user;
    oracle from = {.j = j, .rank = rank};
    weft_optim *o = NULL;
    float *x = calloc(COUNT, sizeof(*x));
    char path[512];
    int code = open_it(j, group, &o);

    for (int k = 1; code == WEFT_OK && k <= j->steps; k++) {
        if (j->fails && k == 5) {
            from.fail = rank == 1;
            code = one_step(j, o, &from, x);
            if (code == WEFT_OK || (rank == 1 && code != WEFT_ECANCELED)) {
                code = WEFT_EINTERNAL;
                break;
            }
            /* What a program may do now; it must not meet a step that goes on elsewhere. */
            code = weft_barrier(group, NULL);
            if (code != WEFT_OK) {
                break;
            }
        }
        code = one_step(j, o, &from, x);
        if (code != WEFT_OK || k != j->stop) {
            continue;
        }
        snprintf(path, sizeof(path), "%s.%d", j->prefix, rank);
        code = weft_optim_save(o, x, path);
        weft_optim_close(&o);
        memset(x, 0x55, COUNT * sizeof(*x));
        if (code == WEFT_OK) {
            code = open_it(j, group, &o);
        }
        if (code == WEFT_OK) {
            code = weft_optim_load(o, x, path);
        }
    }
    j->code[rank] = code;
    snprintf(j->text[rank], sizeof(j->text[rank]), "%s", weft_last_error()->message);
    j->x[rank] = x;
    weft_optim_close(&o);
}

static void run_job(job *j, int peers)
{
    peers_run(peers, work, j);
    for (int r = 0; r < peers; r++) {
        cr_assert_eq(j->code[r], WEFT_OK, "%s, rank %d: code %d, %s", j->m->spec, r, j->code[r],
                     j->text[r]);
        cr_assert_eq(memcmp(j->x[r], j->x[0], COUNT * sizeof(float)), 0,
                     "%s: rank %d has another model than rank 0", j->m->spec, r);
    }
}

static void end_job(job *j, int peers)
{
    for (int r = 0; r < peers; r++) {
        free(j->x[r]);
    }
}

static void expect_same(const job *a, const job *b, const char *what)
{
    cr_expect_eq(memcmp(a->x[0], b->x[0], COUNT * sizeof(float)), 0, "%s: %s", a->m->spec, what);
}

Test(methods, each_gets_as_near_to_the_optimum_as_it_promises)
{
    static const float zero[COUNT];
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    for (size_t i = 0; i < METHODS; i++) {
        job j = {.q = &q, .m = &methods[i], .steps = 600};

        run_job(&j, PEERS);
        const double share =
            quadratic_gap(&q, j.x[0], 0.0, 0.0) / quadratic_gap(&q, zero, 0.0, 0.0);
        cr_expect_lt(share, j.m->below, "%s: the gap is %g of the first one, not below %g",
                     j.m->spec, share, j.m->below);
        end_job(&j, PEERS);
    }
    quadratic_free(&q);
}

Test(methods, each_goes_on_from_a_checkpoint_with_the_same_bits)
{
    quadratic q;
    char folder[] = "/tmp/weft-methods-XXXXXX", prefix[64], path[96];

    cr_assert_not_null(mkdtemp(folder));
    quadratic_make(&q, PEERS, COUNT);
    for (size_t i = 0; i < METHODS; i++) {
        snprintf(prefix, sizeof(prefix), "%s/m%zu", folder, i);
        job whole = {.q = &q, .m = &methods[i], .steps = 47};
        job cut = {.q = &q, .m = &methods[i], .steps = 47, .stop = 23, .prefix = prefix};

        run_job(&whole, PEERS);
        run_job(&cut, PEERS);
        expect_same(&whole, &cut, "a run that was cut is not the whole one");
        end_job(&whole, PEERS);
        end_job(&cut, PEERS);
        for (int r = 0; r < PEERS; r++) {
            snprintf(path, sizeof(path), "%s.%d", prefix, r);
            cr_expect_eq(unlink(path), 0);
        }
    }
    quadratic_free(&q);
    cr_expect_eq(rmdir(folder), 0, "something is left of checkpoints");
}

Test(methods, a_step_in_which_a_gradient_fails_can_be_taken_again)
{
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    for (size_t i = 0; i < METHODS; i++) {
        job good = {.q = &q, .m = &methods[i], .steps = 9};
        job bad = {.q = &q, .m = &methods[i], .steps = 9, .fails = 1};

        run_job(&good, PEERS);
        run_job(&bad, PEERS);
        expect_same(&good, &bad, "other bits than without the failure");
        end_job(&good, PEERS);
        end_job(&bad, PEERS);
    }
    quadratic_free(&q);
}

Test(methods, a_step_in_pieces_is_the_step)
{
    static const size_t small[] = {1, 30, 1000};
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    for (size_t i = 0; i < METHODS; i++) {
        if (asks(methods[i].spec)) {
            continue;
        }
        for (size_t s = 0; s < 3; s++) {
            job whole = {.q = &q, .m = &methods[i], .steps = 12, .small = small[s]};
            job pieces = {.q = &q, .m = &methods[i], .steps = 12, .small = small[s], .pieces = 1};

            run_job(&whole, PEERS);
            run_job(&pieces, PEERS);
            expect_same(&whole, &pieces, "in pieces it has other bits");
            end_job(&whole, PEERS);
            end_job(&pieces, PEERS);
        }
    }
    quadratic_free(&q);
}

/* Told early, with the last tensors told or all, by all peers or but one, between steps in pieces,
 * and where rank 1's function fails behind what it told. */
Test(methods, a_gradient_function_may_tell_tensors_as_they_become_known)
{
    static const size_t small[] = {1, 30, 1000};
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    for (size_t i = 0; i < METHODS; i++) {
        for (size_t s = 0; s < 3; s++) {
            job whole = {.q = &q, .m = &methods[i], .steps = 8, .small = small[s]};

            run_job(&whole, PEERS);
            for (int way = 0; way < 6; way++) {
                job told = whole;

                told.tells = way < 3 ? 2 + way : TENSORS;
                told.quiet = way == 3 ? 2 : -1;
                told.fails = way < 3 || way == 5;
                told.pieces = way == 4 && !asks(methods[i].spec) ? 2 : 0;
                run_job(&told, PEERS);
                expect_same(&whole, &told, "told early it has other bits");
                end_job(&told, PEERS);
            }
            end_job(&whole, PEERS);
        }
    }
    quadratic_free(&q);
}
