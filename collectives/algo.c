/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/algo.h"

#include <stdio.h>
#include <string.h>

#include "base/status.h"

#define X(name) extern const weft_algo weft_algo_##name;
#include "collectives/collectives.def"
#undef X

static const weft_algo *const rows[] = {
#define X(name) &weft_algo_##name,
#include "collectives/collectives.def"
#undef X
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

const char *weft_coll_name(weft_coll coll)
{
    static const char *const names[WEFT_COLL_COUNT] = {
        [WEFT_COLL_ALLREDUCE] = "allreduce",
        [WEFT_COLL_ALLGATHER] = "allgather",
        [WEFT_COLL_REDUCE_SCATTER] = "reduce_scatter",
        [WEFT_COLL_BROADCAST] = "broadcast",
        [WEFT_COLL_BARRIER] = "barrier",
    };
    return (unsigned)coll < WEFT_COLL_COUNT ? names[coll] : "unknown";
}

const weft_algo *weft_algo_at(int index)
{
    return index >= 0 && index < ROWS ? rows[index] : NULL;
}

static void list_names(weft_coll coll, char *text, size_t cap)
{
    size_t len = 0;

    text[0] = '\0';
    for (int i = 0; i < ROWS; i++) {
        if (rows[i]->coll != coll || len >= cap)
            continue;
        const int got = snprintf(text + len, cap - len, "%s%s", len ? ", " : "", rows[i]->name);
        len += got > 0 ? (size_t)got : 0;
    }
}

int weft_algo_find(weft_coll coll, const char *name, const weft_algo **ret)
{
    char names[160];

    for (int i = 0; name && i < ROWS; i++) {
        if (rows[i]->coll == coll && strcmp(rows[i]->name, name) == 0) {
            *ret = rows[i];
            return WEFT_OK;
        }
    }
    list_names(coll, names, sizeof names);
    return weft_fail(WEFT_EINVAL, "%s: no algorithm \"%s\"; there are auto, %s",
                     weft_coll_name(coll), name ? name : "", names);
}

int weft_algo_build(const weft_algo *a, const weft_shape *s, weft_plan *ret)
{
    weft_plan p;
    int rc;

    if (s->coll != a->coll)
        return weft_fail(WEFT_EINVAL, "algorithm %s of %s asked for %s", a->name,
                         weft_coll_name(a->coll), weft_coll_name(s->coll));
    if (s->coll == WEFT_COLL_BROADCAST && (s->root < 0 || s->root >= s->size))
        return weft_fail(WEFT_EINVAL, "broadcast: root %d of %d peers", s->root, s->size);
    rc = weft_plan_init(&p, s->rank, s->size, s->count);
    if (rc)
        return rc;
    rc = a->build(&p, s);
    if (rc) {
        weft_plan_free(&p);
        return weft_fail_context("%s %s", weft_coll_name(a->coll), a->name);
    }
    *ret = p;
    return WEFT_OK;
}

weft_goal weft_shape_goal(const weft_shape *s)
{
    weft_goal g = {.kind = WEFT_GOAL_REDUCE,
                   .size = s->size,
                   .count = s->count,
                   .in_blocks = 1,
                   .out_blocks = 1,
                   .root = -1};

    if (s->coll == WEFT_COLL_REDUCE_SCATTER)
        g.in_blocks = s->size;
    if (s->coll == WEFT_COLL_ALLGATHER || s->coll == WEFT_COLL_BROADCAST)
        g.kind = WEFT_GOAL_COPY;
    if (s->coll == WEFT_COLL_ALLGATHER)
        g.out_blocks = s->size;
    if (s->coll == WEFT_COLL_BROADCAST)
        g.root = s->root;
    if (s->coll == WEFT_COLL_BARRIER)
        g.kind = WEFT_GOAL_MEET;
    return g;
}
