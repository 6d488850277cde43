/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of some of a group's peers.
 *
 * Every peer gathers what each wishes, and comes to the same by itself. What may be lacking is
 * allocated before, so that a peer that lacks it can say so among its wishes and no other waits for
 * it. The tag of a group follows from its parent's, the number of the call there and the color.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"
#include "group/call.h"
#include "topology/topology.h"

enum { WORDS = 3 };

typedef struct wish {
    int32_t color, key;
    int32_t code; /* why this peer cannot take part: WEFT_OK, WEFT_EINVAL, WEFT_ENOMEM */
} wish;
_Static_assert(sizeof(wish) == WORDS * sizeof(int32_t), "a wish travels as its numbers");

typedef struct seat {
    int32_t key;
    int rank; /* in the parent */
} seat;

/* What a peer needs to work out its group from all wishes; room for the parent's peers each. */
typedef struct table {
    wish *all;
    seat *seats;
    int *from;  /* rank in the parent, by rank in the group */
    int *place; /* the other way round; -1: not in it */
} table;

/* All that a group of at most the parent's peers needs. NULL: out of memory. */
static weft_group *prepare(const weft_group *parent)
{
    weft_group *g = weft_calloc(1, sizeof(*g));
    if (g == NULL) {
        return NULL;
    }
    g->opened = parent->opened;
    g->loop = parent->loop;
    g->log = parent->log;
    g->seed = parent->seed;
    g->timeout_ms = parent->timeout_ms;
    g->ranks = weft_calloc((size_t)parent->size, sizeof(*g->ranks));
    g->context = weft_context_new(parent->opened->size, parent->size);
    g->leave = weft_request_new();
    g->algo = weft_strdup(parent->algo);
    g->given_costs = weft_strdup(parent->given_costs);
    g->host = weft_calloc((size_t)parent->size, sizeof(*g->host));
    if (parent->orders.ring != NULL) {
        g->orders.ring = weft_calloc((size_t)parent->size, sizeof(int));
        g->orders.tree = weft_calloc((size_t)parent->size, sizeof(int));
    }
    if (g->ranks == NULL || g->context == NULL || g->leave == NULL || g->host == NULL ||
        g->given_costs == NULL || (parent->algo != NULL && g->algo == NULL) ||
        (parent->orders.ring != NULL && (g->orders.ring == NULL || g->orders.tree == NULL)) ||
        weft_plancache_open(&g->plans) != WEFT_OK || weft_plan_files_open(&g->files) != WEFT_OK) {
        weft_context_discard(g->context);
        weft_group_free(g);
        return NULL;
    }
    return g;
}

/* What every peer wishes, by rank, and the number of the call. */
static int gather(weft_group *parent, const char *what, const wish *mine, wish *all,
                  uint64_t *ret_call)
{
    const weft_call c = {.coll = WEFT_COLL_ALLGATHER,
                         .serves = what,
                         .in = mine,
                         .out = all,
                         .count = WORDS,
                         .dtype = WEFT_I32};
    weft_request *r = NULL;
    const int rc = weft_call_make(parent, &c, &r);
    return rc == WEFT_OK ? weft_call_run(parent->loop, r, ret_call) : rc;
}

/* Along the edges of the parent's topology, if it has one, the peers of each color must reach one
 * another: everybody looks at all colors. */
static int check_connected(const weft_group *parent, const char *what, const wish *all)
{
    const size_t size = (size_t)parent->size;
    int *queue = weft_calloc(size, sizeof(*queue));
    unsigned char *seen = weft_calloc(size, 1);
    int rc =
        queue != NULL && seen != NULL ? WEFT_OK : weft_fail(WEFT_ENOMEM, "%s: out of memory", what);
    for (int r = 0; rc == WEFT_OK && r < parent->size; r++) {
        if (all[r].color == WEFT_UNDEFINED || seen[r]) {
            continue;
        }
        int first = 0;
        while (all[first].color != all[r].color) {
            first++;
        }
        if (first < r) { /* what is reached from the first of its color is seen by now */
            char who[64], other[64];
            rc = weft_fail_rank(WEFT_EINVAL, r,
                                "%s: no way along the topology %s leads from %s to %s through "
                                "peers of color %d",
                                what, weft_topology_spec(parent->topology),
                                weft_group_rank_words(parent, first, who, sizeof(who)),
                                weft_group_rank_words(parent, r, other, sizeof(other)),
                                (int)all[r].color);
            break;
        }
        int head = 0, tail = 0;
        seen[r] = 1;
        queue[tail++] = r;
        while (head < tail) {
            int degree = 0;
            const int *row = weft_topology_neighbors(parent->topology, queue[head++], &degree);
            for (int k = 0; k < degree; k++) {
                if (!seen[row[k]] && all[row[k]].color == all[r].color) {
                    seen[row[k]] = 1;
                    queue[tail++] = row[k];
                }
            }
        }
    }
    weft_free(queue);
    weft_free(seen);
    return rc;
}

/* One peer that cannot take part ends it for all. */
static int check(const weft_group *parent, const char *what, const wish *all)
{
    char who[64];
    for (int r = 0; r < parent->size; r++) {
        weft_group_rank_words(parent, r, who, sizeof(who));
        if (all[r].code == WEFT_EINVAL) {
            return weft_fail_rank(WEFT_EINVAL, r, "%s: %s has nowhere to put the group", what, who);
        }
        if (all[r].code != WEFT_OK) {
            return weft_fail_rank(WEFT_ENOMEM, r, "%s: %s is out of memory for the group", what,
                                  who);
        }
        if (all[r].color < 0 && all[r].color != WEFT_UNDEFINED) {
            return weft_fail_rank(WEFT_EINVAL, r,
                                  "%s: the color of %s is %d, neither 0 or more nor WEFT_UNDEFINED",
                                  what, who, (int)all[r].color);
        }
    }
    return parent->topology != NULL ? check_connected(parent, what, all) : WEFT_OK;
}

static int by_key(const void *a, const void *b)
{
    const seat *x = a, *y = b;
    return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
                            : (x->rank > y->rank) - (x->rank < y->rank);
}

static uint64_t tag_of(uint64_t parent, uint64_t call, int32_t color)
{
    uint8_t bytes[24];
    weft_store_little(bytes, parent);
    weft_store_little(bytes + 8, call);
    weft_store_little(bytes + 16, (uint64_t)color);
    return weft_hash64(bytes, sizeof(bytes));
}

/* Who is in the group of this peer's color, in which order. */
static void seat_all(weft_group *g, const weft_group *parent, const table *t, uint64_t call)
{
    const int32_t color = t->all[parent->rank].color;
    g->size = 0;
    for (int r = 0; r < parent->size; r++) {
        t->place[r] = -1;
        if (t->all[r].color == color) {
            t->seats[g->size++] = (seat){.key = t->all[r].key, .rank = r};
        }
    }
    qsort(t->seats, (size_t)g->size, sizeof(*t->seats), by_key);
    for (int i = 0; i < g->size; i++) {
        const int rank = t->seats[i].rank;
        t->from[i] = rank;
        t->place[rank] = i;
        g->ranks[i] = parent->ranks != NULL ? parent->ranks[rank] : rank;
    }
    g->rank = t->place[parent->rank];
    g->tag = tag_of(parent->tag, call, color);
    weft_context_set(g->context, g->tag, g->ranks, g->size, g->rank);
}

/* What the choice of algorithms goes by: the parent's, of those who are in the group. */
static int inherit(weft_group *g, const weft_group *parent, const table *t)
{
    int hosts = 0;
    for (int i = 0; i < g->size; i++) {
        int first = 0;
        while (parent->host[t->from[first]] != parent->host[t->from[i]]) {
            first++;
        }
        g->host[i] = first < i ? g->host[first] : hosts++;
    }
    weft_group_set_costs(g);
    if (parent->orders.ring != NULL) {
        weft_orders_among(&g->orders, &parent->orders, t->place, parent->size, g->size);
    }
    return parent->topology == NULL
               ? WEFT_OK
               : weft_topology_among(parent->topology, t->from, g->size, &g->topology);
}

/* Hand the context over: from here on calls may be made in it. Takes the request. */
static int enter(weft_group *g, weft_request *r)
{
    r->what = WEFT_REQUEST_ENTER;
    r->context = g->context;
    return weft_call_run(g->loop, r, NULL);
}

/* The group of this peer's color, from what all wish. Takes g and r. */
static int found(weft_group *g, weft_request *r, const weft_group *parent, const table *t,
                 uint64_t call, weft_group **ret)
{
    seat_all(g, parent, t, call);
    int rc = enter(g, r);
    if (rc != WEFT_OK) {
        weft_context_discard(g->context);
        weft_group_free(g);
        return rc;
    }
    atomic_fetch_add(&g->opened->handles, 1);
    rc = inherit(g, parent, t);
    if (rc != WEFT_OK) { /* out of memory: the others hear that it left */
        weft_problem why = {0};
        weft_problem_from_last(&why);
        weft_group_close(&g);
        return weft_fail_problem(&why);
    }
    *ret = g;
    return WEFT_OK;
}

static int split(weft_group *parent, const char *what, int color, int key, weft_group **ret)
{
    const size_t size = (size_t)parent->size;
    const table t = {.all = weft_calloc(size, sizeof(wish)),
                     .seats = weft_calloc(size, sizeof(seat)),
                     .from = weft_calloc(size, sizeof(int)),
                     .place = weft_calloc(size, sizeof(int))};
    weft_group *g = prepare(parent);
    weft_request *r = weft_request_new();
    const bool lacking =
        t.seats == NULL || t.from == NULL || t.place == NULL || g == NULL || r == NULL;
    const wish mine = {.color = color,
                       .key = key,
                       .code = ret == NULL ? WEFT_EINVAL
                               : lacking   ? WEFT_ENOMEM
                                           : WEFT_OK};
    uint64_t call = 0;
    int rc = t.all == NULL ? weft_fail(WEFT_ENOMEM, "%s: out of memory for the group", what)
                           : gather(parent, what, &mine, t.all, &call);
    if (rc == WEFT_OK) {
        rc = check(parent, what, t.all);
    }
    if (rc == WEFT_OK && (ret == NULL || g == NULL || r == NULL)) {
        rc = weft_fail(WEFT_EINTERNAL, "%s: the own wish was taken for another", what);
    }
    if (rc == WEFT_OK && color != WEFT_UNDEFINED) {
        rc = found(g, r, parent, &t, call, ret);
    } else {
        if (g != NULL) {
            weft_context_discard(g->context);
            weft_group_free(g);
        }
        weft_request_discard(r);
        if (rc == WEFT_OK) {
            *ret = NULL;
        }
    }
    weft_free(t.all);
    weft_free(t.seats);
    weft_free(t.from);
    weft_free(t.place);
    return rc;
}

int weft_group_split(weft_group *group, int color, int key, weft_group **ret)
{
    return group == NULL ? weft_fail(WEFT_EINVAL, "split: no group")
                         : split(group, "split", color, key, ret);
}

int weft_group_duplicate(weft_group *group, weft_group **ret)
{
    return group == NULL ? weft_fail(WEFT_EINVAL, "duplicate: no group")
                         : split(group, "duplicate", 0, 0, ret);
}
