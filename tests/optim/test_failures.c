/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that fail on one peer: gradients that are not finite, peers that leave or never finish. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "optim_kinds.h"
#include "optim_peers.h"
#include <weft/weft.h>

enum { PEERS = 3, STATES = 6 };

static const char *const states[STATES] = {"h", "hbar", "v", "residual", "m", "x"};

typedef struct job {
    const quadratic *q;
    const kind *k;
    int parted;      /* 1: four tensors, those below 10 floats as they are */
    int at, element; /* rank 1's gradient is not finite there in that step, from 1; 0: never */
    float value;     /* what it is instead */
    int code[PEERS], rank[PEERS], changed[PEERS], again[PEERS];
    char text[PEERS][256];
    float x[PEERS][COUNT];
} job;

typedef struct place {
    const job *j;
    int rank, poisoned;
} place;

static int gradient(void *user, weft_rows rows, uint64_t draw, const float *x, float *ret)
{
    const place *p = user;

    (void)rows;
    (void)draw;
    quadratic_gradient(p->j->q, p->rank, x, ret);
    if (p->poisoned) {
        ret[p->j->element] = p->j->value;
    }
    return 0;
}

typedef struct view {
    float state[STATES][COUNT];
    uint64_t steps;
} view;

static void look(view *v, const weft_optim *o, const float *x)
{
    memset(v, 0, sizeof(*v));
    for (int s = 0; s < STATES; s++) {
        const float *from = strcmp(states[s], "x") == 0 ? x : weft_optim_state(o, states[s]);
        if (from != NULL) {
            memcpy(v->state[s], from, sizeof(v->state[s]));
        }
    }
    v->steps = weft_optim_steps(o);
}

static int make(weft_optim **ret, weft_group *group, const job *j)
{
    weft_optim_opts opts = quadratic_opts(j->q, j->k->lr, j->k->codec);

    opts.algo = j->k->algo;
    opts.reply_codec = j->k->reply;
    if (j->parted) {
        opts.tensors = tensors;
        opts.tensor_count = TENSORS;
        opts.small = 10;
    }
    return weft_optim_open(ret, group, j->k->spec, COUNT, &opts);
}

static void poison(weft_group *group, int rank, void *user)
{
    job *j = user;
    place p = {j, rank, 0};
    view *before = calloc(2, sizeof(*before)), *after = before + 1;
    weft_optim *o = NULL;
    float *x = j->x[rank];
    int code = make(&o, group, j);

    for (int k = 1; code == WEFT_OK && k <= 8; k++) {
        if (k == j->at) {
            look(before, o, x);
            p.poisoned = rank == 1;
            j->code[rank] = weft_optim_advance(o, x, gradient, &p);
            j->rank[rank] = weft_last_error()->rank;
            snprintf(j->text[rank], sizeof(j->text[rank]), "%s", weft_last_error()->message);
            p.poisoned = 0;
            look(after, o, x);
            j->changed[rank] = memcmp(before, after, sizeof(*before)) != 0;
        }
        code = weft_optim_advance(o, x, gradient, &p);
    }
    j->again[rank] = code;
    if (code != WEFT_OK) {
        snprintf(j->text[rank], sizeof(j->text[rank]), "%s", weft_last_error()->message);
    }
    weft_optim_close(&o);
    free(before);
}

static void poisoned(const quadratic *q, const kind *k, int parted, int at, int element,
                     float value)
{
    static job good, bad;

    good = (job){.q = q, .k = k, .parted = parted};
    bad = (job){.q = q, .k = k, .parted = parted, .at = at, .element = element, .value = value};
    peers_run(PEERS, poison, &good);
    peers_run(PEERS, poison, &bad);
    for (int r = 0; r < PEERS; r++) {
        cr_assert_eq(good.again[r], WEFT_OK, "%s: %s", k->spec, good.text[r]);
        cr_expect_eq(bad.code[r], WEFT_ENONFINITE, "%s, %d, step %d, element %d, rank %d: %s: %s",
                     k->spec, parted, at, element, r, weft_status_name(bad.code[r]), bad.text[r]);
        cr_expect_eq(bad.rank[r], 1, "%s, rank %d names %d: %s", k->spec, r, bad.rank[r],
                     bad.text[r]);
        cr_expect_eq(bad.changed[r], 0, "%s, rank %d: the failed step changed something", k->spec,
                     r);
        cr_expect_eq(bad.again[r], WEFT_OK, "%s, rank %d cannot go on: %s", k->spec, r,
                     bad.text[r]);
        cr_expect_arr_eq(bad.x[r], good.x[r], sizeof(good.x[r]),
                         "%s, rank %d: other bits than without the failure", k->spec, r);
    }
}

Test(failures, a_gradient_that_is_not_finite_fails_the_step_everywhere_and_names_its_rank)
{
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    for (size_t i = 0; i < KINDS; i++) {
        const int whole = strstr(kinds[i].spec, "f64") != NULL;

        poisoned(&q, &kinds[i], 0, 1, 5, (float)NAN);
        poisoned(&q, &kinds[i], 0, 6, 66, -(float)INFINITY);
        for (int e = 0; !whole && e < 4; e += 2) { /* a tensor that goes as it is, and one not */
            poisoned(&q, &kinds[i], 1, 6, (int)firsts[e] + (e == 2), (float)NAN);
        }
    }
    quadratic_free(&q);
}

/* --- in pieces ----------------------------------------------------------------------------- */

typedef struct pieces {
    const quadratic *q;
    int how; /* what rank 1 does in step 3: see misstep() */
    int code[PEERS], changed[PEERS], again[PEERS], back;
    char text[PEERS][256];
    pthread_barrier_t over;
} pieces;

static int all_ready(weft_optim *o, const float *g)
{
    int code = WEFT_OK;

    for (size_t t = TENSORS; code == WEFT_OK && t-- > 0;) {
        code = weft_optim_ready(o, t, g + firsts[t]);
    }
    return code;
}

static int whole_step(weft_optim *o, float *x, const float *g)
{
    int code = weft_optim_begin(o, x);

    code = code == WEFT_OK ? all_ready(o, g) : code;
    return code == WEFT_OK ? weft_optim_finish(o, x) : code;
}

/* 0: two tensors, then it leaves. 1: two, then nothing for as long as the others wait. 2: two, then
 * finish. 3: the same tensor twice, and more that is none, then all is well. */
static int misstep(pieces *p, weft_optim **o, float *x, const float *g)
{
    int code = weft_optim_begin(*o, x);

    for (size_t t = TENSORS; code == WEFT_OK && t-- > 2;) {
        code = weft_optim_ready(*o, t, g + firsts[t]);
    }
    switch (code == WEFT_OK ? p->how : -1) {
    case 0:
        weft_optim_close(o);
        return WEFT_OK;
    case 1:
        pthread_barrier_wait(&p->over);
        return WEFT_OK;
    case 2:
        return weft_optim_finish(*o, x);
    case 3:
        p->back = weft_optim_ready(*o, 3, g + firsts[3]) == WEFT_EINVAL &&
                  strstr(weft_last_error()->message, "ready already") != NULL &&
                  weft_optim_ready(*o, 4, g) == WEFT_EINVAL &&
                  weft_optim_begin(*o, x) == WEFT_EINVAL &&
                  weft_optim_step(*o, x, g) == WEFT_EINVAL &&
                  weft_optim_save(*o, x, "/nowhere") == WEFT_EINVAL &&
                  weft_optim_ready(*o, 1, g + firsts[1]) == WEFT_OK &&
                  weft_optim_ready(*o, 0, g + firsts[0]) == WEFT_OK;
        return weft_optim_finish(*o, x);
    default:
        return code;
    }
}

static void stumble(weft_group *group, int rank, void *user)
{
    pieces *p = user;
    weft_optim_opts opts = quadratic_opts(p->q, "0.1", FOUR_BITS);
    view *before = calloc(2, sizeof(*before)), *after = before + 1;
    float x[COUNT] = {0}, g[COUNT];
    weft_optim *o = NULL;

    opts.tensors = tensors;
    opts.tensor_count = TENSORS;
    opts.small = 2;
    int code = weft_optim_open(&o, group, "diana:momentum=0.5", COUNT, &opts);
    for (int k = 1; code == WEFT_OK && k <= 6; k++) {
        quadratic_gradient(p->q, rank, x, g);
        if (k == 3) {
            look(before, o, x);
            p->code[rank] = rank == 1 ? misstep(p, &o, x, g) : whole_step(o, x, g);
            snprintf(p->text[rank], sizeof(p->text[rank]), "%s", weft_last_error()->message);
            if (p->how == 1 && rank != 1) {
                pthread_barrier_wait(&p->over);
            }
            if (p->how < 2 && rank == 1) {
                break;
            }
            look(after, o, x);
            p->changed[rank] = memcmp(before, after, sizeof(*before)) != 0;
        }
        for (int tries = 0; tries < 4; tries++) {
            code = whole_step(o, x, g);
            if (code != WEFT_EMISMATCH && code != WEFT_ECANCELED) {
                break;
            }
        }
    }
    p->again[rank] = code;
    weft_optim_close(&o);
    free(before);
}

static void stumbled(pieces *p, int how, int64_t timeout_ms)
{
    memset(p->code, 0, sizeof(p->code));
    p->how = how;
    pthread_barrier_init(&p->over, NULL, PEERS);
    peers_run_within(PEERS, timeout_ms, stumble, p);
    pthread_barrier_destroy(&p->over);
}

Test(failures, a_peer_that_leaves_or_stops_between_its_tensors_fails_the_step_of_all)
{
    static pieces p;
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    p.q = &q;
    for (int how = 0; how < 2; how++) {
        stumbled(&p, how, how == 1 ? 300 : 20000);
        for (int r = 0; r < PEERS; r += 2) {
            cr_expect(p.code[r] == WEFT_EPEER || p.code[r] == WEFT_ETIMEDOUT ||
                          p.code[r] == WEFT_ECANCELED || p.code[r] == WEFT_EBROKEN,
                      "%d, rank %d: %s: %s", how, r, weft_status_name(p.code[r]), p.text[r]);
            cr_expect_neq(p.code[r], WEFT_OK);
            cr_expect_not_null(strstr(p.text[r], "step 3"), "%s", p.text[r]);
            cr_expect_eq(p.changed[r], 0, "%d, rank %d: something changed", how, r);
            cr_expect_neq(p.again[r], WEFT_OK);
        }
    }
    quadratic_free(&q);
}

Test(failures, a_tensor_that_was_never_ready_fails_the_step_of_all_and_all_go_on)
{
    static pieces p;
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    p.q = &q;
    stumbled(&p, 2, 20000);
    cr_expect_eq(p.code[1], WEFT_EINVAL, "%s", p.text[1]);
    cr_expect_not_null(strstr(p.text[1], "tensor a was never ready"), "%s", p.text[1]);
    for (int r = 0; r < PEERS; r++) {
        cr_expect_neq(p.code[r], WEFT_OK, "rank %d", r);
        cr_expect_eq(p.changed[r], 0, "rank %d: something changed", r);
        cr_expect_eq(p.again[r], WEFT_OK, "rank %d: %s", r, weft_status_name(p.again[r]));
    }
    quadratic_free(&q);
}

Test(failures, calls_out_of_turn_are_refused_and_the_step_goes_on)
{
    static pieces p;
    quadratic q;

    quadratic_make(&q, PEERS, COUNT);
    p.q = &q;
    stumbled(&p, 3, 20000);
    cr_expect(p.back, "%s", p.text[1]);
    for (int r = 0; r < PEERS; r++) {
        cr_expect_eq(p.code[r], WEFT_OK, "rank %d: %s", r, p.text[r]);
        cr_expect_eq(p.again[r], WEFT_OK);
    }
    quadratic_free(&q);
}
