/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/plan_algo.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/partition.h"
#include "collectives/plan_prove.h"
#include "plan/plan_sim.h"

/* How often a rank sends, sends raw, or combines each part: sums over the parts before i at i. */
typedef struct use {
    uint64_t sent, raw, reduced;
} use;

struct weft_plan_algo {
    weft_algo algo;
    weft_plan_file *file;
    atomic_int refs;
    weft_cost fixed; /* what does not depend on the lane */
    int spans;       /* as weft_algo.parts */
    bool direct;     /* of alltoall: every block goes straight to its rank */
    use *uses;       /* peers rows of parts + 1 */
};

static const use *row_of(const weft_plan_algo *a, int rank)
{
    return a->uses + (size_t)rank * ((size_t)a->file->parts + 1);
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const weft_plan_algo *a = s->file;
    weft_run runs[WEFT_RUNS];
    weft_cost c = a->fixed;
    const int count = weft_cut_runs(s, a->file->parts, runs);

    for (int rank = 0; rank < a->file->peers; rank++) {
        const use *at = row_of(a, rank);
        double bytes = 0, reduced = 0;
        for (int i = 0, from = 0; i < count; from = runs[i++].to) {
            const use *low = &at[from], *high = &at[runs[i].to];
            const double elements = (double)runs[i].count;
            bytes += elements * ((double)(high->sent - low->sent) * width +
                                 (double)(high->raw - low->raw) * reply);
            reduced += elements * (double)(high->reduced - low->reduced) * width;
        }
        c.bytes = bytes > c.bytes ? bytes : c.bytes;
        c.reduced_bytes = reduced > c.reduced_bytes ? reduced : c.reduced_bytes;
    }
    return c;
}

static int parts(const weft_shape *s)
{
    return s->file->spans;
}

static int root_of(const weft_shape *s, const weft_plan_file *f)
{
    return s->order ? s->order[f->root] : f->root;
}

void weft_plan_algo_objection(const weft_plan_algo *a, const weft_shape *s, char *text, size_t cap)
{
    const weft_plan_file *f = a->file;

    text[0] = '\0';
    if (s->coll != f->coll)
        snprintf(text, cap, "of file %s is of %s", f->path, weft_coll_name(f->coll));
    else if (s->size != f->peers)
        snprintf(text, cap, "of file %s is for %d peers, here are %d", f->path, f->peers, s->size);
    else if (weft_coll_rooted(f->coll) && s->root != root_of(s, f))
        snprintf(text, cap, "of file %s has root %d, not %d", f->path, root_of(s, f), s->root);
    else if (s->ragged && s->coll == WEFT_COLL_ALLTOALL && !a->direct)
        snprintf(text, cap,
                 "of file %s passes blocks on through ranks that do not know their lengths",
                 f->path);
}

/* weft_algo_objection() says more, and before. */
static const char *refuses(const weft_shape *s)
{
    char text[8];

    if (!s->file)
        return "has no file";
    weft_plan_algo_objection(s->file, s, text, sizeof text);
    return text[0] ? "of a file is not for these peers, this root or these lengths" : NULL;
}

static int build(weft_plan *p, const weft_shape *s)
{
    return weft_plan_file_place(s->file->file, s, p);
}

static const weft_param params[] = {{.key = "path",
                                     .value = "",
                                     .min = 1,
                                     .max = 480,
                                     .text = 1,
                                     .help = "JSON file of the plan, docs/plan_file.md"},
                                    {.key = NULL}};

#define ROW(which)                                                                                 \
    [which] = {.coll = (which),                                                                    \
               .name = "plan",                                                                     \
               .summary = "a plan of the user's own, from a file",                                 \
               .source = "",                                                                       \
               .formula = "as its steps say",                                                      \
               .params = params,                                                                   \
               .refuses = refuses,                                                                 \
               .parts = parts,                                                                     \
               .cost = cost,                                                                       \
               .build = build}

static const weft_algo blanks[WEFT_COLL_COUNT] = {
    ROW(WEFT_COLL_ALLREDUCE),      ROW(WEFT_COLL_REDUCE),   ROW(WEFT_COLL_BROADCAST),
    ROW(WEFT_COLL_ALLGATHER),      ROW(WEFT_COLL_GATHER),   ROW(WEFT_COLL_SCATTER),
    ROW(WEFT_COLL_REDUCE_SCATTER), ROW(WEFT_COLL_ALLTOALL), ROW(WEFT_COLL_NEIGHBOR_AVERAGE),
    ROW(WEFT_COLL_BARRIER),
};

_Static_assert(WEFT_COLL_COUNT == 10, "a collective without a row");

const weft_algo *weft_plan_algo_blank(weft_coll coll)
{
    return &blanks[coll];
}

const weft_algo *weft_plan_algo_row(const weft_plan_algo *a)
{
    return &a->algo;
}

const weft_plan_file *weft_plan_algo_file(const weft_plan_algo *a)
{
    return a->file;
}

void weft_plan_algo_name(const weft_plan_algo *a, char *text, size_t cap)
{
    snprintf(text, cap, "plan(%016" PRIx64 ")", a->file->digest);
}

/* Of one rank's plan, whose spans are parts. */
static void count_uses(weft_plan_algo *a, const weft_plan *p)
{
    const int size = p->size;
    use *row = a->uses + (size_t)p->rank * (p->count + 1);

    for (size_t i = 0; i < p->step_count; i++) {
        const weft_step *s = &p->steps[i];
        /* Differences first: +1 where a span begins, -1 behind its end (both wrap back). */
        use *from = &row[s->span.off], *to = &row[s->span.off + s->span.count];
        if (s->verb == WEFT_VERB_SEND) {
            (s->raw ? &from->raw : &from->sent)[0]++;
            (s->raw ? &to->raw : &to->sent)[0]--;
            a->spans = (int)s->span.count > a->spans ? (int)s->span.count : a->spans;
        } else if (s->verb == WEFT_VERB_FOLD || s->verb == WEFT_VERB_MERGE ||
                   s->verb == WEFT_VERB_ADD) {
            from->reduced++;
            to->reduced--;
        }
        if (s->verb == WEFT_VERB_FOLD || s->verb == WEFT_VERB_MERGE)
            a->algo.needs |= WEFT_NEEDS_MERGE;
        if (s->verb == WEFT_VERB_REPLY)
            a->algo.traits |= WEFT_ALGO_REPLIES;
        if (s->verb == WEFT_VERB_RECV && weft_plan_crosses(p))
            a->direct = a->direct &&
                        s->span.block == (uint32_t)s->peer * (uint32_t)size + (uint32_t)p->rank;
    }
    use now = {0}, before = {0}; /* from differences to counts, from those to sums */
    for (size_t i = 0; i <= p->count; i++) {
        const use step = row[i];
        row[i] = before;
        now = (use){now.sent + step.sent, now.raw + step.raw, now.reduced + step.reduced};
        before = (use){before.sent + now.sent, before.raw + now.raw, before.reduced + now.reduced};
    }
}

/* Slots of no bytes: what is counted is messages. */
static size_t no_bound(void *user, weft_span span, bool raw)
{
    (void)user;
    (void)span;
    (void)raw;
    return 0;
}

static int no_fill(void *user, const weft_sim_at *at, void *slot, size_t cap, size_t *ret_len)
{
    (void)user;
    (void)at;
    (void)slot;
    *ret_len = cap;
    return WEFT_OK;
}

static int no_change(void *user, const weft_sim_at *at, void *slot, size_t len)
{
    (void)user;
    (void)at;
    (void)slot;
    (void)len;
    return WEFT_OK;
}

static int no_merge(void *user, const weft_sim_at *at, void *slot, size_t len, const void *other,
                    size_t other_len)
{
    (void)other;
    (void)other_len;
    return no_change(user, at, slot, len);
}

static int no_unpack(void *user, const weft_sim_at *at, const void *slot, size_t len)
{
    (void)user;
    (void)at;
    (void)slot;
    (void)len;
    return WEFT_OK;
}

static int count_messages(weft_plan_algo *a, const weft_plan *plans)
{
    static const weft_sim_ops ops = {.bound = no_bound,
                                     .fill = no_fill,
                                     .fold = no_change,
                                     .merge = no_merge,
                                     .scale = no_change,
                                     .unpack = no_unpack};
    const int peers = a->file->peers;
    weft_sim_count *counts = weft_calloc((size_t)peers, sizeof *counts);
    weft_cost *c = &a->fixed;

    if (!counts)
        return weft_fail(WEFT_ENOMEM, "plan file %s: no memory for %d peers", a->file->path, peers);
    const int rc = weft_plan_simulate(plans, peers, &ops, NULL, 1, counts);
    for (int i = 0; !rc && i < peers; i++) {
        c->rounds = counts[i].rounds > c->rounds ? counts[i].rounds : c->rounds;
        c->peers = counts[i].peers > c->peers ? counts[i].peers : c->peers;
        if ((double)counts[i].messages > c->messages)
            c->messages = (double)counts[i].messages;
    }
    weft_free(counts);
    return rc;
}

/* Of a file that is proved: needs, traits and what its cost is made of. */
static int measure(weft_plan_algo *a)
{
    const weft_plan_file *f = a->file;
    weft_plan *plans = weft_calloc((size_t)f->peers, sizeof *plans);
    int rc = WEFT_OK;

    a->algo = blanks[f->coll];
    a->direct = true;
    a->uses = weft_calloc((size_t)f->peers * ((size_t)f->parts + 1), sizeof *a->uses);
    if (!plans || !a->uses)
        rc = weft_fail(WEFT_ENOMEM, "plan file %s: no memory for %d plans", f->path, f->peers);
    for (int rank = 0; !rc && rank < f->peers; rank++)
        if (!(rc = weft_plan_prove_rank(f, rank, &plans[rank])))
            count_uses(a, &plans[rank]);
    a->spans = a->spans ? f->parts / a->spans : 1;
    if (!rc)
        rc = count_messages(a, plans);
    for (int rank = 0; plans && rank < f->peers; rank++)
        weft_plan_free(&plans[rank]);
    weft_free(plans);
    return rc;
}

int weft_plan_algo_prove(weft_plan_file *f, weft_plan_algo **ret)
{
    int rc = weft_plan_prove(f);
    weft_plan_algo *a = rc ? NULL : weft_calloc(1, sizeof *a);

    if (!a) {
        rc = rc ? rc : weft_fail(WEFT_ENOMEM, "plan file %s: out of memory", f->path);
        weft_plan_file_free(f);
        return rc;
    }
    a->file = f;
    atomic_init(&a->refs, 1);
    if ((rc = measure(a)))
        weft_plan_algo_unref(a);
    else
        *ret = a;
    return rc;
}

weft_plan_algo *weft_plan_algo_ref(weft_plan_algo *a)
{
    atomic_fetch_add(&a->refs, 1);
    return a;
}

void weft_plan_algo_unref(weft_plan_algo *a)
{
    if (!a || atomic_fetch_sub(&a->refs, 1) > 1)
        return;
    weft_plan_file_free(a->file);
    weft_free(a->uses);
    weft_free(a);
}
