/* SPDX-License-Identifier: Apache-2.0 */
#include "group/plancache.h"

#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"
#include <weft/topology.h>

enum { CELLS = 32, PICKS = 32 };

typedef struct cell {
    const weft_algo *algo; /* NULL: free */
    weft_shape shape;
    weft_spec spec; /* the shape's */
    uint64_t graph; /* digest of the shape's, 0: none */
    uint64_t cuts;  /* the same */
    weft_shared_plan *plan;
    uint64_t used; /* when, by count of uses */
} cell;

typedef struct chosen {
    weft_choice choice;
    weft_pick pick;
    uint64_t used;
    char spec[]; /* what was asked for */
} chosen;

struct weft_plancache {
    pthread_mutex_t lock;
    cell cells[CELLS];
    chosen *picks[PICKS]; /* NULL: free */
    uint64_t uses;
};

int weft_plancache_open(weft_plancache **ret)
{
    weft_plancache *c = weft_calloc(1, sizeof(*c));
    if (c == NULL) {
        return weft_fail(WEFT_ENOMEM, "out of memory for plans");
    }
    pthread_mutex_init(&c->lock, NULL);
    *ret = c;
    return WEFT_OK;
}

void weft_plancache_close(weft_plancache **cache)
{
    weft_plancache *c = *cache;
    if (c == NULL) {
        return;
    }
    for (int i = 0; i < CELLS; i++) {
        weft_shared_plan_unref(c->cells[i].plan);
        weft_plan_algo_unref(c->cells[i].shape.file);
    }
    for (int i = 0; i < PICKS; i++) {
        weft_free(c->picks[i]);
    }
    pthread_mutex_destroy(&c->lock);
    weft_free(c);
    *cache = NULL;
}

static bool same_spec(const weft_spec *a, const weft_spec *b)
{
    return memcmp(a->number, b->number, sizeof(a->number)) == 0 &&
           memcmp(a->choice, b->choice, sizeof(a->choice)) == 0;
}

static uint64_t graph_of(const weft_shape *s)
{
    return s->graph != NULL ? weft_topology_digest(s->graph) : 0;
}

static uint64_t cuts_of(const weft_shape *s)
{
    return s->cuts != NULL ? weft_hash64(s->cuts, ((size_t)s->size + 1) * sizeof(*s->cuts)) : 0;
}

static bool same(const cell *c, const weft_algo *algo, const weft_shape *s)
{
    return c->algo == algo && c->shape.rank == s->rank && c->shape.size == s->size &&
           c->shape.count == s->count && c->shape.block == s->block &&
           c->shape.whole_blocks == s->whole_blocks && c->shape.root == s->root &&
           c->shape.ragged == s->ragged && c->shape.order == s->order && c->graph == graph_of(s) &&
           c->cuts == cuts_of(s) && same_spec(&c->spec, s->spec);
}

static int build(const weft_algo *algo, const weft_shape *shape, weft_shared_plan **ret)
{
    weft_shared_plan *p = weft_calloc(1, sizeof(*p));
    if (p == NULL) {
        return weft_fail(WEFT_ENOMEM, "out of memory for a plan");
    }
    atomic_init(&p->refs, 1);
    const int rc = weft_algo_build(algo, shape, &p->plan);
    if (rc != WEFT_OK) {
        weft_free(p);
        return rc;
    }
    *ret = p;
    return WEFT_OK;
}

int weft_plancache_get(weft_plancache *cache, const weft_algo *algo, const weft_shape *shape,
                       weft_shared_plan **ret)
{
    int rc = WEFT_OK;
    pthread_mutex_lock(&cache->lock);
    cell *oldest = &cache->cells[0];
    cell *found = NULL;
    for (int i = 0; i < CELLS && found == NULL; i++) {
        cell *c = &cache->cells[i];
        if (same(c, algo, shape)) {
            found = c;
        } else if (c->used < oldest->used) {
            oldest = c;
        }
    }
    if (found == NULL) {
        weft_shared_plan *plan = NULL;
        rc = build(algo, shape, &plan);
        if (rc == WEFT_OK) {
            weft_shared_plan_unref(oldest->plan);
            weft_plan_algo_unref(oldest->shape.file);
            *oldest = (cell){.algo = algo,
                             .shape = *shape,
                             .spec = *shape->spec,
                             .graph = graph_of(shape),
                             .cuts = cuts_of(shape),
                             .plan = plan};
            oldest->shape.spec = &oldest->spec;
            oldest->shape.cuts = NULL; /* the caller's */
            if (shape->file !=
                NULL) { /* algo is a part of it: nothing else may come to lie there */
                oldest->shape.file = weft_plan_algo_ref(shape->file);
            }
            found = oldest;
        }
    }
    if (found != NULL) {
        found->used = ++cache->uses;
        *ret = weft_shared_plan_ref(found->plan);
    }
    pthread_mutex_unlock(&cache->lock);
    return rc;
}

static bool same_choice(const chosen *p, const char *spec, const weft_choice *c)
{
    const weft_choice *k = &p->choice;
    return k->coll == c->coll && k->size == c->size && k->count == c->count &&
           k->element_bytes == c->element_bytes && k->encoded_bytes == c->encoded_bytes &&
           k->reply_bytes == c->reply_bytes && k->levels == c->levels && k->signs == c->signs &&
           k->adds_pairs == c->adds_pairs && k->cuts_pairs == c->cuts_pairs &&
           k->reply_asked == c->reply_asked && k->once == c->once && k->owned == c->owned &&
           k->fidelity == c->fidelity && k->traits == c->traits && k->ordered == c->ordered &&
           k->ragged == c->ragged && k->root == c->root && k->graph == c->graph &&
           strcmp(p->spec, spec) == 0;
}

/* Out of memory is no failure: it is chosen anew the next time. */
static void keep(weft_plancache *cache, const char *spec, const weft_choice *choice,
                 const weft_pick *pick)
{
    chosen **at = &cache->picks[0];
    for (int i = 0; i < PICKS && *at != NULL; i++) {
        chosen **other = &cache->picks[i];
        if (*other == NULL || (*other)->used < (*at)->used) {
            at = other;
        }
    }
    chosen *p = weft_alloc(sizeof(*p) + strlen(spec) + 1);
    if (p != NULL) {
        *p = (chosen){.choice = *choice, .pick = *pick, .used = ++cache->uses};
        memcpy(p->spec, spec, strlen(spec) + 1);
        weft_free(*at);
        *at = p;
    }
}

int weft_plancache_pick(weft_plancache *cache, const char *spec, const weft_choice *choice,
                        weft_pick *ret)
{
    const char *asked = spec != NULL ? spec : "auto";
    int rc = WEFT_OK;
    bool found = false;
    pthread_mutex_lock(&cache->lock);
    for (int i = 0; i < PICKS && !found; i++) {
        chosen *p = cache->picks[i];
        if (p != NULL && same_choice(p, asked, choice)) {
            p->used = ++cache->uses;
            *ret = p->pick;
            found = true;
        }
    }
    if (!found) {
        rc = weft_algo_select(asked, choice, ret);
        if (rc == WEFT_OK && ret->file == NULL) { /* which may be another one the next time */
            keep(cache, asked, choice, ret);
        }
    }
    pthread_mutex_unlock(&cache->lock);
    return rc;
}
