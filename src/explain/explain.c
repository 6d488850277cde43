/* SPDX-License-Identifier: Apache-2.0 */
/* What could serve a query, at which price. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "explain/study.h"

struct weft_explain {
    weft_candidate *all;
    size_t count, cap;
};

static const char *needs_of(const weft_algo *a)
{
    const bool merges = a->needs & WEFT_NEEDS_MERGE;

    if (a->needs & WEFT_NEEDS_SHARED)
        return "levels of a shared scale";
    if (a->needs & WEFT_NEEDS_SIGNS)
        return "signs";
    if (a->needs & WEFT_NEEDS_PAIRS)
        return "sparse vectors";
    if (a->needs & WEFT_NEEDS_LOSSY)
        return "encodings that lose something";
    if (a->traits & WEFT_ALGO_GRAPH)
        return merges ? "encodings that merge, a topology" : "a topology";
    return merges ? "encodings that merge" : "any codec";
}

static void describe(const weft_study *s, const weft_pick *p, weft_candidate *ret)
{
    weft_candidate c = {.size = sizeof c,
                        .summary = p->algo->summary,
                        .formula = p->algo->formula,
                        .needs = needs_of(p->algo)};

    snprintf(c.algo, sizeof c.algo, "%.*s", (int)sizeof c.algo - 1, p->text);
    weft_algo_reserve(p, &s->choice, c.why_not, sizeof c.why_not);
    c.named = c.why_not[0] != '\0';
    weft_algo_objection(p, &s->choice, c.why_not, sizeof c.why_not);
    c.named = c.named && !c.why_not[0];
    if (!c.why_not[0]) {
        weft_price price;
        weft_algo_price(p, &s->choice, &price);
        weft_study_lanes(s, p, &c.lane, &c.lanes);
        c.seconds = price.seconds;
        c.round_s = price.round_s;
        c.message_s = price.message_s;
        c.byte_s = price.byte_s;
        c.reduce_s = price.reduce_s;
        c.rounds = price.cost.rounds;
        c.messages = price.cost.messages * (double)c.lanes;
        c.bytes = price.cost.bytes;
        c.serial_bytes = price.serial_bytes;
        c.reduced_bytes = price.cost.reduced_bytes;
        c.peers = price.cost.peers;
    }
    *ret = c;
}

static int keep(weft_explain *e, const weft_study *s, const weft_pick *p)
{
    void *all = e->all;

    if (!weft_grow(&all, &e->cap, e->count + 1, sizeof *e->all))
        return weft_fail(WEFT_ENOMEM, "explain: no memory");
    e->all = all;
    describe(s, p, &e->all[e->count++]);
    return WEFT_OK;
}

/* The one that was named, with the parameters it was given, where it is not as by default. */
static int keep_named(weft_explain *e, const weft_study *s, const char *spec)
{
    weft_pick p, other;
    int rc = weft_algo_read(spec, &s->choice, &p);

    if (rc)
        return rc;
    for (int i = 0; weft_algo_candidate(i, &s->choice, &other); i++)
        if (strcmp(p.text, other.text) == 0)
            return WEFT_OK;
    rc = keep(e, s, &p);
    weft_pick_free(&p);
    return rc;
}

static void mark(const weft_explain *e, const weft_pick *p)
{
    for (size_t i = 0; i < e->count; i++)
        e->all[i].chosen = strcmp(e->all[i].algo, p->text) == 0;
}

static int fill(weft_explain *e, const weft_study *s, const char *spec)
{
    weft_pick p;
    int rc = WEFT_OK;

    if (spec && strcmp(spec, "auto") != 0)
        rc = keep_named(e, s, spec);
    for (int i = 0; !rc && weft_algo_candidate(i, &s->choice, &p); i++)
        rc = keep(e, s, &p);
    if (rc)
        return rc;
    rc = weft_algo_select(spec, &s->choice, &p);
    if (!rc) {
        mark(e, &p);
        weft_pick_free(&p);
    }
    return rc == WEFT_ENOTSUP ? WEFT_OK : rc;
}

int weft_explain_open(weft_explain **ret, const weft_query *query)
{
    weft_study s;
    int rc = weft_study_open(&s, query);

    if (rc)
        return rc;
    weft_explain *e = weft_calloc(1, sizeof *e);
    rc = e ? fill(e, &s, query->algo) : weft_fail(WEFT_ENOMEM, "explain: no memory");
    weft_study_close(&s);
    if (rc) {
        weft_explain_close(&e);
        return rc;
    }
    *ret = e;
    return WEFT_OK;
}

int weft_explain_get(const weft_explain *e, int index, weft_candidate *ret)
{
    if (index < 0 || (size_t)index >= e->count)
        return 0;
    const size_t size = ret->size < sizeof *ret ? ret->size : sizeof *ret, own = ret->size;
    memcpy(ret, &e->all[index], size);
    ret->size = own;
    return 1;
}

void weft_explain_close(weft_explain **e)
{
    if (*e) {
        weft_free((*e)->all);
        weft_free(*e);
        *e = NULL;
    }
}
