/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: on other numbers of peers, damaged and foreign ones. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/hash.h"
#include "optim_files.h"
#include "optim_peers.h"
#include <weft/weft.h>

#define FOUR_BITS "qsgd:levels=7,bucket=8,norm=max"

enum { COUNT = 37, PEERS = 4 };

/* How an optimizer is made. */
typedef struct kind {
    const char *spec, *lr, *codec, *algo, *reply;
    double below; /* gap after some hundred steps behind the load, as a share of that at 0 */
} kind;

static const kind kinds[] = {
    {"diana:momentum=0.3", "theory", FOUR_BITS, NULL, NULL, 1e-8},
    {"diana", "theory", FOUR_BITS, "scatter", FOUR_BITS, 1e-8},
    {"diana:state=f64", "theory", FOUR_BITS, NULL, NULL, 1e-8},
    {"vr_diana:period=8", "0.15", FOUR_BITS, NULL, NULL, 1e-8},
    {"qsvrg:inner=40", "0.15", NULL, NULL, NULL, 1e-6},
    {"ef", "theory*0.1", "topk:density=0.2", NULL, NULL, 1e-2},
    {"gtopk:momentum=0.5,correction=yes", "0.05", "topk:k=8", NULL, NULL, 0.2},
    {"ef21:eta=0.5", "0.05", "topk:density=0.2", NULL, NULL, 1e-2},
    {"signum", "0.002", NULL, NULL, NULL, 0.9},
    {"onebit_adam:warmup=20", "0.01", NULL, NULL, NULL, 0.5},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static int make(weft_optim **ret, weft_group *group, const kind *k, const quadratic *q)
{
    weft_optim_opts opts = quadratic_opts(q, k->lr, k->codec);

    opts.algo = k->algo;
    opts.reply_codec = k->reply;
    return weft_optim_open(ret, group, k->spec, q->count, &opts);
}

typedef struct place {
    const quadratic *q;
    int rank;
} place;

static int gradient(void *user, weft_rows rows, uint64_t draw, const float *x, float *ret)
{
    const place *p = user;

    (void)rows;
    (void)draw;
    quadratic_gradient(p->q, p->rank, x, ret);
    return 0;
}

static int train(weft_optim *o, const quadratic *q, int rank, float *x, int steps)
{
    place p = {q, rank};
    int code = WEFT_OK;

    for (int k = 0; code == WEFT_OK && k < steps; k++) {
        code = weft_optim_advance(o, x, gradient, &p);
    }
    return code;
}

/* --- another number of peers --------------------------------------------------------------- */

static const char *const states[] = {"h", "hbar", "residual", "m"};

enum { STATES = 4 };

typedef struct view {
    float x[COUNT], state[STATES][COUNT];
    int held[STATES];
} view;

typedef struct move {
    const kind *k;
    const quadratic *q;
    const char *folder;
    int saves;  /* 1: train and save; 0: load and train */
    int copied; /* all load this rank's file; -1: rank % PEERS */
    int steps;
    view seen[PEERS_MAX]; /* at the save, or behind the load */
    uint64_t done[PEERS_MAX];
    float last[PEERS_MAX][COUNT];
    int code[PEERS_MAX];
    char text[PEERS_MAX][256];
} move;

static void look(view *v, const weft_optim *o, const float *x)
{
    memcpy(v->x, x, sizeof(v->x));
    for (int s = 0; s < STATES; s++) {
        const float *from = weft_optim_state(o, states[s]);
        v->held[s] = from != NULL;
        if (from != NULL) {
            memcpy(v->state[s], from, sizeof(v->state[s]));
        }
    }
}

static void travel(weft_group *group, int rank, void *user)
{
    move *m = user;
    weft_optim *o = NULL;
    float *x = m->last[rank];
    char path[128];
    int code = make(&o, group, m->k, m->q);

    snprintf(path, sizeof(path), "%s/%d", m->folder, m->copied >= 0 ? m->copied : rank % PEERS);
    if (code == WEFT_OK && m->saves) {
        code = train(o, m->q, rank, x, m->steps);
    }
    if (code == WEFT_OK) {
        code = m->saves ? weft_optim_save(o, x, path) : weft_optim_load(o, x, path);
    }
    if (code == WEFT_OK) {
        look(&m->seen[rank], o, x);
        m->done[rank] = weft_optim_steps(o);
    }
    if (code == WEFT_OK && !m->saves) {
        code = train(o, m->q, rank, x, m->steps);
    }
    m->code[rank] = code;
    snprintf(m->text[rank], sizeof(m->text[rank]), "%s", weft_last_error()->message);
    weft_optim_close(&o);
}

static void expect_travelled(const move *m)
{
    for (int r = 0; r < m->q->peers; r++) {
        cr_assert_eq(m->code[r], WEFT_OK, "%s, rank %d of %d: %s", m->k->spec, r, m->q->peers,
                     m->text[r]);
        cr_assert_eq(memcmp(m->last[r], m->last[0], sizeof(m->last[0])), 0,
                     "%s: rank %d of %d has another model", m->k->spec, r, m->q->peers);
    }
}

/* What is each peer's own (all but hbar, and with replies that too) is the mean of what was. */
static void expect_means(const move *from, const move *to)
{
    for (int s = 0; s < STATES; s++) {
        const int of = s == 1 ? 0 : s; /* hbar is the mean of the h */
        const int own_m = strncmp(to->k->spec, "gtopk", 5) == 0 ||
                          strncmp(to->k->spec, "ef21", 4) == 0 ||
                          strncmp(to->k->spec, "signum", 6) == 0;
        cr_assert_eq(from->seen[0].held[s], to->seen[0].held[s]);
        if (!to->seen[0].held[s] || (s == 3 && !own_m) || !from->seen[0].held[of]) {
            continue;
        }
        for (size_t j = 0; j < COUNT; j++) {
            double mean = 0.0, most = 0.0;
            for (int r = 0; r < PEERS; r++) {
                const double one = (double)from->seen[r].state[of][j];
                mean += one / PEERS;
                most = fmax(most, fabs(one));
            }
            for (int r = 0; r < to->q->peers; r++) {
                cr_assert_eq(to->seen[r].state[s][j], to->seen[0].state[s][j], "%s: %s of rank %d",
                             to->k->spec, states[s], r);
                cr_assert_leq(fabs((double)to->seen[r].state[s][j] - mean), 1e-5 * most,
                              "%s: %s[%zu]", to->k->spec, states[s], j);
            }
        }
    }
    for (int r = 0; r < to->q->peers; r++) {
        const view *v = &to->seen[r];
        cr_expect_eq(memcmp(v->x, from->seen[0].x, sizeof(v->x)), 0, "%s: x", to->k->spec);
        cr_expect_eq(to->done[r], from->done[0]);
        cr_expect(!v->held[0] || memcmp(v->state[0], v->state[1], sizeof(v->state[0])) == 0,
                  "%s: h is not hbar", to->k->spec);
    }
}

static void travels(int peers, int copied)
{
    static const float zero[COUNT];
    static move from, to;
    const char *folder = scratch_folder();
    quadratic q, other;

    quadratic_make(&q, PEERS, COUNT);
    quadratic_make(&other, peers, COUNT);
    for (size_t i = 0; i < KINDS; i++) {
        from = (move){.k = &kinds[i], .q = &q, .folder = folder, .saves = 1, .copied = -1};
        from.steps = 27;
        to = (move){.k = &kinds[i], .q = &other, .folder = folder, .copied = copied, .steps = 700};
        peers_run(PEERS, travel, &from);
        expect_travelled(&from);
        peers_run(peers, travel, &to);
        expect_travelled(&to);
        expect_means(&from, &to);
        const double share =
            quadratic_gap(&other, to.last[0], 0.0, 0.0) / quadratic_gap(&other, zero, 0.0, 0.0);
        cr_expect_lt(share, kinds[i].below, "%s from %d to %d peers: the gap is %g of the first",
                     kinds[i].spec, PEERS, peers, share);
    }
    quadratic_free(&q);
    quadratic_free(&other);
    clear_folder(folder);
}

Test(checkpoint, fewer_peers_go_on_from_means)
{
    travels(2, -1);
}

Test(checkpoint, more_peers_go_on_from_means)
{
    travels(6, -1);
}

Test(checkpoint, one_file_is_enough_for_as_many_peers_and_for_one)
{
    travels(PEERS, 2);
    travels(1, 3);
}

/* --- files that are refused ---------------------------------------------------------------- */

typedef struct harm {
    const char *folder;
    size_t length; /* of the file */
    int tried, silent, changed, nameless, other_silent;
} harm;

enum { SMALL = 3 };

/* Both load; rank 1 from what was just written there. 1: refused here, in words that hold `word`,
 * and nothing has changed. */
static int refuses(weft_optim *o, const char *path, const char *word, int *changed)
{
    float x[SMALL] = {1.0f, 2.0f, 3.0f};
    const uint64_t steps = weft_optim_steps(o);
    const float v = weft_optim_state(o, "v")[1];
    const int code = weft_optim_load(o, x, path);

    *changed += x[0] != 1.0f || x[1] != 2.0f || x[2] != 3.0f || weft_optim_steps(o) != steps ||
                weft_optim_state(o, "v")[1] != v;
    return code == WEFT_EINVAL && strstr(weft_last_error()->message, word) != NULL;
}

static void flip_and_cut(weft_group *group, int rank, void *user)
{
    harm *h = user;
    const weft_optim_opts opts = {.size = sizeof(opts), .lr = "0.1"};
    weft_optim *o = NULL;
    float x[SMALL] = {0}, g[SMALL] = {1.0f, -2.0f, 4.0f};
    unsigned char good[2048], bad[2048];
    char path[128];
    int changed = 0;

    snprintf(path, sizeof(path), "%s/%d", h->folder, rank);
    if (weft_optim_open(&o, group, "gd", SMALL, &opts) != WEFT_OK ||
        weft_optim_step(o, x, g) != WEFT_OK || weft_optim_save(o, x, path) != WEFT_OK) {
        h->silent = 1000;
        weft_optim_close(&o);
        return;
    }
    const size_t n = slurp(path, good, sizeof(good));
    for (size_t i = 0; i < 2 * n; i++) {
        const char *word = rank == 0 ? "rank 1" : path;
        if (rank == 1) { /* a byte is another one, or the end is missing */
            memcpy(bad, good, n);
            bad[i % n] ^= (unsigned char)(1u << (i * 5 % 8));
            spew(path, bad, i < n ? n : i - n);
        }
        const int right = refuses(o, path, word, &changed);
        *(rank == 0 ? &h->other_silent : &h->silent) += !right;
        if (rank == 1) {
            h->tried++;
        }
    }
    if (rank == 1) {
        spew(path, good, n);
        h->length = n;
        h->changed += changed;
    }
    const int code = weft_optim_load(o, x, path); /* and with the right file they go on */
    const int again = code == WEFT_OK ? weft_optim_step(o, x, g) : code;
    *(rank == 0 ? &h->other_silent : &h->silent) += again != WEFT_OK || weft_optim_steps(o) != 2;
    weft_optim_close(&o);
}

Test(checkpoint, every_flipped_byte_and_every_cut_is_refused_on_all_peers)
{
    harm h = {.folder = scratch_folder()};

    peers_run(2, flip_and_cut, &h);
    cr_expect_eq(h.silent, 0, "rank 1 took %d damaged files, or did not name them", h.silent);
    cr_expect_eq(h.other_silent, 0, "rank 0 was not told %d times", h.other_silent);
    cr_expect_eq(h.changed, 0);
    cr_expect_gt(h.length, 100);
    cr_expect_eq((size_t)h.tried, 2 * h.length);
    clear_folder(h.folder);
}

/* Saved by one optimizer, loaded by another one. */
typedef struct stranger {
    const char *saved, *loaded; /* SPECs */
    size_t saved_count, count;
    const weft_tensor *saved_tensors, *tensors; /* two of them, or NULL */
    const char *word;                           /* in the error */
    const char *folder;
    int edit; /* what is done to rank 1's file: see meddle() */
    int code[2], changed[2];
    char text[2][256];
} stranger;

static int open_two(weft_optim **ret, weft_group *group, const char *spec, size_t count,
                    const weft_tensor *tensors)
{
    const weft_optim_opts opts = {.size = sizeof(opts),
                                  .lr = "0.1",
                                  .tensors = tensors,
                                  .tensor_count = tensors != NULL ? 2 : 0};
    return weft_optim_open(ret, group, spec, count, &opts);
}

static void put_sum(unsigned char *file, size_t length)
{
    const uint32_t sum = weft_crc32c(0, file + 32, length - 32);

    for (int i = 0; i < 8; i++) {
        file[16 + i] = i < 4 ? (unsigned char)(sum >> 8 * i) : 0;
        file[24 + i] = i < 4 ? (unsigned char)((uint64_t)(length - 32) >> 8 * i) : 0;
    }
}

/* Files with a right checksum that no save writes: numbers in them are out of bounds. */
static void meddle(const char *path, int edit)
{
    static const size_t head = 32, steps = 48, method = 72; /* where numbers are */
    unsigned char file[4096];
    size_t n = slurp(path, file, sizeof(file));

    switch (edit) {
    case 1: /* another version */
        file[8] = 2;
        break;
    case 2: /* not a checkpoint */
        memcpy(file, "#!/bin/sh", 9);
        break;
    case 3: /* 2^62 steps */
        file[steps + 7] = 0x40;
        break;
    case 4: /* a name of 2^63 characters */
        file[method + 7] = 0x80;
        break;
    case 5: /* 2^63 tensors: the method is "gd" */
        file[method + 8 + 2 + 7] = 0x80;
        break;
    case 6: /* a vector of 2^63 elements: its name is "x", that of the only tensor "x" too */
        file[method + 8 + 2 + 8 + (8 + 1 + 8) + 8 + (8 + 1 + 8) + 7] = 0x80;
        break;
    case 7: /* more vectors than there are */
        file[method + 8 + 2 + 8 + (8 + 1 + 8)] = 0xff;
        break;
    case 8: /* something behind the end */
        memset(file + n, 0, 16);
        n += 16;
        break;
    default: /* 9: the end is missing, all else right */
        n -= 4;
        break;
    }
    if (n > head && edit > 2) {
        put_sum(file, n);
    }
    spew(path, file, n);
}

static void estrange(weft_group *group, int rank, void *user)
{
    stranger *s = user;
    weft_optim *o = NULL;
    float x[64] = {0}, g[64];
    char path[128];
    int code = open_two(&o, group, s->saved, s->saved_count, s->saved_tensors);

    for (int i = 0; i < 64; i++) {
        g[i] = (float)(i + 1);
    }
    snprintf(path, sizeof(path), "%s/%d", s->folder, rank);
    if (code == WEFT_OK && weft_optim_step(o, x, g) == WEFT_OK) {
        code = weft_optim_save(o, x, path);
    }
    weft_optim_close(&o);
    if (code == WEFT_OK && s->edit != 0 && rank == 1) {
        meddle(path, s->edit);
    }
    if (code == WEFT_OK) {
        code = open_two(&o, group, s->loaded, s->count, s->tensors);
    }
    if (code == WEFT_OK) {
        memset(x, 0x11, sizeof(x));
        code = weft_optim_load(o, x, path);
        s->changed[rank] = weft_optim_steps(o) != 0;
        for (size_t i = 0; i < sizeof(x); i++) {
            s->changed[rank] += ((unsigned char *)x)[i] != 0x11;
        }
    }
    s->code[rank] = code;
    snprintf(s->text[rank], sizeof(s->text[rank]), "%s", weft_last_error()->message);
    weft_optim_close(&o);
}

static void strange(stranger s)
{
    s.folder = scratch_folder();
    s.saved = s.saved != NULL ? s.saved : "gd";
    s.loaded = s.loaded != NULL ? s.loaded : s.saved;
    s.saved_count = s.saved_count > 0 ? s.saved_count : 10;
    s.count = s.count > 0 ? s.count : s.saved_count;
    peers_run(2, estrange, &s);
    for (int r = 0; r < 2; r++) {
        cr_expect_eq(s.code[r], WEFT_EINVAL, "%s, rank %d: %s: %s", s.word, r,
                     weft_status_name(s.code[r]), s.text[r]);
        cr_expect_eq(s.changed[r], 0, "%s: something changed on rank %d", s.word, r);
    }
    cr_expect_not_null(strstr(s.text[1], s.word), "\"%s\" does not say \"%s\"", s.text[1], s.word);
    cr_expect_not_null(strstr(s.text[1], s.folder), "\"%s\" names no file", s.text[1]);
    clear_folder(s.folder);
}

Test(checkpoint, files_of_other_optimizers_are_refused_by_what_differs)
{
    static const weft_tensor two[] = {{"first", 4}, {"second", 6}},
                             others[] = {{"first", 4}, {"third", 6}};
    static const weft_tensor lengths[] = {{"first", 6}, {"second", 4}};

    strange((stranger){.loaded = "sgd", .word = "method gd"});
    strange((stranger){.count = 11, .word = "10 elements, the model's 11"});
    strange((stranger){.tensors = two, .word = "tensor 0 is x, the model's is first"});
    strange((stranger){.saved_tensors = two, .tensors = others, .word = "tensor 1 is second"});
    strange((stranger){.saved_tensors = two, .tensors = lengths, .word = "first has 4 elements"});
    strange((stranger){.saved_tensors = two, .word = "tensor 0 is first"});
    strange((stranger){.loaded = "gd:state=f64", .word = "no vector x64"});
    strange((stranger){.saved = "gd:state=f64", .loaded = "gd", .word = "\"x64\""});
}

Test(checkpoint, files_that_no_save_wrote_are_refused_by_what_is_wrong)
{
    static const char *const words[] = {"version 2",       "no checkpoint",   "steps",
                                        "not well formed", "tensors",         "does not fit",
                                        "does not fit",    "not well formed", "not well formed"};

    for (int i = 0; i < 9; i++) {
        strange((stranger){.edit = i + 1, .word = words[i]});
    }
}
