/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a step: the barrier that tells of it lets some go and fails on others, who take the
 * step from what they hold.
 */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "optim/optim.h"
#include "optim_kinds.h"
#include "optim_peers.h"
#include <weft/weft.h>

enum { PEERS = 3, STEPS = 9, AT = 4, TRIES = 12 };

typedef struct job {
    const quadratic *q;
    const kind *k;
    int pieces; /* steps are begun and finished */
    int tears;  /* the barrier of step AT fails but on the ranks below it */
    int saves;  /* then all try to save, which their steps forbid */
    int code[PEERS], torn[PEERS], asked[PEERS], saved[PEERS];
    uint64_t steps[PEERS];
    char text[PEERS][256];
    float x[PEERS][COUNT];
} job;

typedef struct place {
    const job *j;
    int rank, asked;
} place;

static int gradient(void *user, weft_rows rows, uint64_t draw, const float *x, float *ret)
{
    place *p = user;

    (void)rows;
    (void)draw;
    p->asked++;
    quadratic_gradient(p->j->q, p->rank, x, ret);
    return 0;
}

static const weft_optim_type *real; /* of the last rank, in step AT */

/* In place of a method's own settling, in step AT of the last rank: an operation of which the
 * others know nothing meets their barrier, and its own barrier what they do next. */
static int tear(weft_optim *o, const float *x)
{
    const uint64_t one = 1;
    uint64_t all = 0;
    const int code = real->settle != NULL ? real->settle(o, x) : WEFT_OK;

    if (code == WEFT_OK) {
        (void)weft_optim_tell(o, &one, &all, 1, WEFT_U64, WEFT_SUM);
    }
    return code;
}

static int step(weft_optim *o, const job *j, place *p, float *x)
{
    float g[COUNT];

    if (!j->pieces) {
        return weft_optim_advance(o, x, gradient, p);
    }
    quadratic_gradient(j->q, p->rank, x, g);
    int code = weft_optim_begin(o, x);
    for (size_t t = TENSORS; code == WEFT_OK && t-- > 0;) {
        code = weft_optim_ready(o, t, g + firsts[t]);
    }
    return code == WEFT_OK ? weft_optim_finish(o, x) : code;
}

static void go(weft_group *group, int rank, void *user)
{
    job *j = user;
    place p = {j, rank, 0};
    weft_optim_opts opts = quadratic_opts(j->q, j->k->lr, j->k->codec);
    weft_optim_type mine = {0};
    weft_optim *o = NULL;
    float *x = j->x[rank];

    opts.algo = j->k->algo;
    opts.reply_codec = j->k->reply;
    if (j->pieces) {
        opts.tensors = tensors;
        opts.tensor_count = TENSORS;
        opts.small = 2;
    }
    int code = weft_optim_open(&o, group, j->k->spec, COUNT, &opts);
    for (int k = 1; code == WEFT_OK && k <= STEPS; k++) {
        const int torn = j->tears > 0 && k == AT;
        if (torn && rank == PEERS - 1) {
            real = o->type;
            mine = *o->type;
            mine.settle = tear;
            o->type = &mine;
        }
        code = step(o, j, &p, x);
        if (torn && rank == PEERS - 1) {
            o->type = real;
        }
        j->torn[rank] |= torn && code != WEFT_OK && o->held && o->steps == AT - 1;
        if (torn && rank < j->tears) { /* as if its barrier had let it go */
            weft_optim_commit(o, x);
            o->torn = false;
        }
        if (torn && j->saves) {
            const uint64_t one = 1;
            uint64_t all = 0;
            if (rank < PEERS - 1) { /* for the last one's barrier */
                (void)weft_optim_tell(o, &one, &all, 1, WEFT_U64, WEFT_SUM);
            }
            j->saved[rank] = weft_optim_save(o, x, "/tmp/weft-test-commit");
        }
        if (torn && rank < j->tears) {
            code = WEFT_OK;
            continue;
        }
        const int asked = p.asked;
        for (int i = 0; i < TRIES && (code == WEFT_EMISMATCH || code == WEFT_ECANCELED); i++) {
            code = step(o, j, &p, x);
        }
        j->asked[rank] |= torn && p.asked != asked; /* for a step that is held */
    }
    j->code[rank] = code;
    j->steps[rank] = o != NULL ? weft_optim_steps(o) : 0;
    snprintf(j->text[rank], sizeof(j->text[rank]), "%s", weft_last_error()->message);
    weft_optim_close(&o);
}

static void torn(const quadratic *q, const kind *k, int pieces, int tears, int saves)
{
    static job good, bad;

    good = (job){.q = q, .k = k, .pieces = pieces};
    bad = (job){.q = q, .k = k, .pieces = pieces, .tears = tears, .saves = saves};
    peers_run(PEERS, go, &good);
    peers_run(PEERS, go, &bad);
    for (int r = 0; r < PEERS; r++) {
        cr_assert_eq(good.code[r], WEFT_OK, "%s: %s", k->spec, good.text[r]);
        cr_expect(bad.torn[r], "%s, rank %d: the barrier did not fail", k->spec, r);
        cr_expect_eq(bad.code[r], WEFT_OK, "%s, rank %d cannot go on: %s", k->spec, r, bad.text[r]);
        cr_expect_eq(bad.saved[r], saves ? WEFT_EMISMATCH : WEFT_OK, "%s, rank %d", k->spec, r);
        cr_expect_eq(bad.asked[r], 0, "%s, rank %d asked for a gradient", k->spec, r);
        cr_expect_eq(bad.steps[r], STEPS, "%s, rank %d", k->spec, r);
        cr_expect_arr_eq(bad.x[r], good.x[r], sizeof(good.x[r]),
                         "%s, rank %d: other bits than without the failure", k->spec, r);
    }
}

Test(commit, who_failed_in_the_barrier_takes_the_step_that_others_took)
{
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    for (size_t i = 0; i < KINDS; i++) {
        torn(&q, &kinds[i], 0, 1, 0);
        torn(&q, &kinds[i], 0, 2, 0);
        torn(&q, &kinds[i], 0, 1, 1);
        if (strncmp(kinds[i].spec, "diana:m", 7) == 0 || strcmp(kinds[i].spec, "ef") == 0) {
            torn(&q, &kinds[i], 1, 1, 0);
            torn(&q, &kinds[i], 1, 2, 1);
        }
    }
    quadratic_free(&q);
}
