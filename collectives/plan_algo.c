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
#include <weft/topology.h>

/* How often a rank sends, receives or combines each part, as encoded or raw: sums over the parts
 * before i at i. */
typedef struct use {
    uint64_t sent, sent_raw, received, received_raw, reduced;
} use;

struct weft_plan_algo {
    weft_algo algo;
    weft_plan_file *file;
    atomic_int refs;
    weft_cost fixed; /* what does not depend on the lane */
    size_t longest;  /* parts of the longest message */
    bool direct;     /* of alltoall: every block goes straight to its rank */
    use *uses;       /* peers rows of parts + 1 */
};

static const use *row_of(const weft_plan_algo *a, int rank)
{
    return a->uses + (size_t)rank * ((size_t)a->file->parts + 1);
}

static double times(double elements, uint64_t low, uint64_t high)
{
    return elements * (double)(high - low);
}

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const weft_plan_algo *a = s->file;
    weft_cut_run runs[WEFT_CUT_RUNS];
    weft_cost most = a->fixed;
    const int count = weft_cut_runs(s, a->file->parts, runs);

    for (int rank = 0; rank < a->file->peers; rank++) {
        const use *at = row_of(a, rank);
        double sent = 0, received = 0, reduced = 0;
        for (int i = 0, from = 0; i < count; from = runs[i++].to) {
            const use *low = &at[from], *high = &at[runs[i].to];
            const double elements = (double)runs[i].count;
            sent += times(elements, low->sent, high->sent) * width +
                    times(elements, low->sent_raw, high->sent_raw) * reply;
            received += times(elements, low->received, high->received) * width +
                        times(elements, low->received_raw, high->received_raw) * reply;
            reduced += times(elements, low->reduced, high->reduced) * width;
        }
        const weft_cost one = {.bytes = sent > received ? sent : received,
                               .reduced_bytes = reduced};
        weft_cost_most(&most, &one);
    }
    return most;
}

static int parts(const weft_shape *s)
{
    const weft_plan_algo *a = s->file;
    const size_t spans = a->longest ? (size_t)a->file->parts / a->longest : 0;

    return spans ? (int)spans : 1;
}

static int joins(const weft_shape *s)
{
    const weft_plan_algo *a = s->file;
    const size_t all = (size_t)a->file->parts;

    return a->longest > all ? (int)((a->longest - 1) / all) + 1 : 1;
}

/* Ranks of the file are places of an order. */
static int seat(const weft_shape *s, int place)
{
    return s->order ? s->order[place] : place;
}

/* Does a message go where the topology has no edge? */
static bool leaves_graph(const weft_shape *s, const weft_plan_file *f, char *why, size_t cap)
{
    for (int rank = 0; rank < f->peers; rank++)
        for (size_t i = f->first[rank]; i < f->first[rank + 1]; i++) {
            const int from = seat(s, rank), to = seat(s, f->steps[i].peer);
            if (f->steps[i].verb == WEFT_VERB_SEND &&
                weft_topology_edge(s->graph, from, to, NULL, NULL) != WEFT_OK) {
                snprintf(why, cap, "sends from %d to %d, no neighbours in the topology (file %s)",
                         from, to, f->path);
                return true;
            }
        }
    return false;
}

static bool refuses(const weft_shape *s, char *why, size_t cap)
{
    const weft_plan_file *f = s->file ? s->file->file : NULL;
    int len = 0;

    if (!f)
        len = snprintf(why, cap, "has no file");
    else if (s->coll != f->coll)
        len = snprintf(why, cap, "is of %s (file %s)", weft_coll_name(f->coll), f->path);
    else if (s->size != f->peers)
        len = snprintf(why, cap, "is for %d peers, here are %d (file %s)", f->peers, s->size,
                       f->path);
    else if (weft_coll_rooted(f->coll) && s->root != seat(s, f->root))
        len =
            snprintf(why, cap, "has root %d, not %d (file %s)", seat(s, f->root), s->root, f->path);
    else if (s->ragged && s->coll == WEFT_COLL_ALLTOALL && !s->file->direct)
        len = snprintf(why, cap,
                       "passes blocks on through ranks that do not know their lengths (file %s)",
                       f->path);
    else if (s->graph)
        return leaves_graph(s, f, why, cap);
    return len > 0;
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
               .joins = joins,                                                                     \
               .cost = cost,                                                                       \
               .build = build}

static const weft_algo blanks[WEFT_COLL_COUNT] = {
    ROW(WEFT_COLL_ALLREDUCE),      ROW(WEFT_COLL_REDUCE),   ROW(WEFT_COLL_BROADCAST),
    ROW(WEFT_COLL_ALLGATHER),      ROW(WEFT_COLL_GATHER),   ROW(WEFT_COLL_SCATTER),
    ROW(WEFT_COLL_REDUCE_SCATTER), ROW(WEFT_COLL_ALLTOALL), ROW(WEFT_COLL_NEIGHBOR_AVERAGE),
    ROW(WEFT_COLL_BARRIER),        ROW(WEFT_COLL_TRANSFER),
};

_Static_assert(WEFT_COLL_COUNT == 11, "a collective without a row");

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

/* From +1 where a span begins and -1 behind its end (which wraps back) to sums. */
static void sum_up(use *row, size_t parts)
{
    use now = {0}, before = {0};

    for (size_t i = 0; i <= parts; i++) {
        const use step = row[i];
        row[i] = before;
        now =
            (use){now.sent + step.sent, now.sent_raw + step.sent_raw, now.received + step.received,
                  now.received_raw + step.received_raw, now.reduced + step.reduced};
        before = (use){before.sent + now.sent, before.sent_raw + now.sent_raw,
                       before.received + now.received, before.received_raw + now.received_raw,
                       before.reduced + now.reduced};
    }
}

/* Of one rank's plan, whose spans are parts. */
static void count_uses(weft_plan_algo *a, const weft_plan *p)
{
    use *row = a->uses + (size_t)p->rank * (p->count + 1);
    size_t message = 0; /* parts of the one that goes on */

    for (size_t i = 0; i < p->step_count; i++) {
        const weft_step *s = &p->steps[i];
        use *from = &row[s->span.off], *to = &row[s->span.off + s->span.count];
        const uint32_t own = (uint32_t)s->peer * (uint32_t)p->size + (uint32_t)p->rank;
        switch (s->verb) {
        case WEFT_VERB_SEND:
            (s->raw ? &from->sent_raw : &from->sent)[0]++;
            (s->raw ? &to->sent_raw : &to->sent)[0]--;
            message += s->span.count;
            a->longest = message > a->longest ? message : a->longest;
            message = s->joined ? message : 0;
            break;
        case WEFT_VERB_RECV:
            (s->raw ? &from->received_raw : &from->received)[0]++;
            (s->raw ? &to->received_raw : &to->received)[0]--;
            a->direct = a->direct && (!weft_plan_crosses(p) || s->span.block == own);
            break;
        case WEFT_VERB_FOLD:
        case WEFT_VERB_MERGE:
            a->algo.needs |= WEFT_NEEDS_MERGE;
            from->reduced++;
            to->reduced--;
            break;
        case WEFT_VERB_ADD:
            from->reduced++;
            to->reduced--;
            break;
        case WEFT_VERB_REPLY:
            a->algo.traits |= WEFT_ALGO_REPLIES;
            break;
        default:
            break;
        }
    }
    sum_up(row, p->count);
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
        const uint64_t sent = counts[i].messages, received = counts[i].received_messages;
        const weft_cost one = {.rounds = (double)counts[i].rounds,
                               .peers = (double)counts[i].peers,
                               .messages = (double)(sent > received ? sent : received)};
        weft_cost_most(c, &one);
    }
    weft_free(counts);
    return rc;
}

/* Of a file that is proved: needs, traits and what its cost is made of. */
static int measure(weft_plan_algo *a, bool ordered)
{
    const weft_plan_file *f = a->file;
    weft_plan *plans = weft_calloc((size_t)f->peers, sizeof *plans);
    int rc = WEFT_OK;

    a->algo = blanks[f->coll];
    a->algo.traits |= ordered ? WEFT_ALGO_ORDERED : 0;
    a->direct = true;
    a->uses = weft_calloc((size_t)f->peers * ((size_t)f->parts + 1), sizeof *a->uses);
    if (!plans || !a->uses)
        rc = weft_fail(WEFT_ENOMEM, "plan file %s: no memory for %d plans", f->path, f->peers);
    for (int rank = 0; !rc && rank < f->peers; rank++)
        if (!(rc = weft_plan_prove_rank(f, rank, &plans[rank])))
            count_uses(a, &plans[rank]);
    if (!rc)
        rc = count_messages(a, plans);
    for (int rank = 0; plans && rank < f->peers; rank++)
        weft_plan_free(&plans[rank]);
    weft_free(plans);
    return rc;
}

int weft_plan_algo_prove(weft_plan_file *f, weft_plan_algo **ret)
{
    bool ordered = false;
    int rc = weft_plan_prove(f, &ordered);
    weft_plan_algo *a = rc ? NULL : weft_calloc(1, sizeof *a);

    if (!a) {
        rc = rc ? rc : weft_fail(WEFT_ENOMEM, "plan file %s: out of memory", f->path);
        weft_plan_file_free(f);
        return rc;
    }
    a->file = f;
    atomic_init(&a->refs, 1);
    if ((rc = measure(a, ordered)))
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
