/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/algo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"

#define X(name) extern const weft_algo weft_algo_##name;
#include "collectives/collectives.def"
#undef X

static const weft_algo *const rows[] = {
#define X(name) &weft_algo_##name,
#include "collectives/collectives.def"
#undef X
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

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
    char names[240];

    if (name && strcmp(name, "plan") == 0) {
        *ret = weft_plan_algo_blank(coll);
        return WEFT_OK;
    }
    for (int i = 0; name && i < ROWS; i++) {
        if (rows[i]->coll == coll && strcmp(rows[i]->name, name) == 0) {
            *ret = rows[i];
            return WEFT_OK;
        }
    }
    list_names(coll, names, sizeof names);
    return weft_fail(WEFT_EINVAL, "%s: no algorithm \"%s\"; there are auto, %s, plan:path=FILE",
                     weft_coll_name(coll), name ? name : "", names);
}

double weft_shape_number(const weft_shape *s, const weft_param *params, int index)
{
    return s->spec ? s->spec->number[index] : strtod(params[index].value, NULL);
}

int weft_shape_choice(const weft_shape *s, int index)
{
    return s->spec ? s->spec->choice[index] : 0;
}

static void raise_to(double *most, double one)
{
    *most = one > *most ? one : *most;
}

void weft_cost_most(weft_cost *most, const weft_cost *one)
{
    raise_to(&most->rounds, one->rounds);
    raise_to(&most->messages, one->messages);
    raise_to(&most->bytes, one->bytes);
    raise_to(&most->reduced_bytes, one->reduced_bytes);
    raise_to(&most->peers, one->peers);
}

int weft_parts_size(const weft_shape *s)
{
    return s->size;
}

/* The block of a rank, or of two, where there are such. */
static uint32_t moved(uint32_t block, uint32_t blocks, uint32_t size, const int *order)
{
    if (blocks > size)
        return (uint32_t)order[block / size] * size + (uint32_t)order[block % size];
    return blocks > 1 ? (uint32_t)order[block] : block;
}

/* Ranks of the plan are places of the order: put the ranks there. Spans that the check fills it
 * fills anew. */
static void seat(weft_plan *p, const int *order, int rank)
{
    const uint32_t size = (uint32_t)p->size, ins = p->in_blocks, outs = p->out_blocks;
    const uint32_t travel = weft_plan_crosses(p) ? ins * outs : ins > outs ? ins : outs;

    p->rank = rank;
    for (size_t i = 0; i < p->step_count; i++) {
        weft_step *s = &p->steps[i];
        switch (s->verb) {
        case WEFT_VERB_PACK:
        case WEFT_VERB_FOLD:
            s->span.block = moved(s->span.block, ins, size, order);
            break;
        case WEFT_VERB_UNPACK:
        case WEFT_VERB_ADD:
        case WEFT_VERB_REPLY:
            s->span.block = moved(s->span.block, outs, size, order);
            break;
        case WEFT_VERB_RECV:
            s->span.block = moved(s->span.block, travel, size, order);
            s->peer = order[s->peer];
            break;
        case WEFT_VERB_SEND:
            s->peer = order[s->peer];
            break;
        default:
            break;
        }
    }
}

static int build_in_order(const weft_algo *a, const weft_shape *s, weft_plan *p)
{
    weft_shape placed = *s;
    int *host = s->host ? weft_calloc((size_t)s->size, sizeof *host) : NULL;
    int rc = s->host && !host ? weft_fail(WEFT_ENOMEM, "no memory for %d hosts", s->size) : WEFT_OK;

    for (int i = 0; !rc && i < s->size; i++) {
        if (s->order[i] == s->rank)
            placed.rank = i;
        if (s->order[i] == s->root)
            placed.root = i;
        if (host)
            host[i] = s->host[s->order[i]];
    }
    placed.order = NULL;
    placed.host = host;
    p->rank = placed.rank;
    if (!rc && !(rc = a->build(p, &placed))) {
        seat(p, s->order, s->rank);
        rc = weft_plan_check(p);
    }
    weft_free(host);
    return rc;
}

static int check_hosts(const weft_shape *s)
{
    for (int i = 0; s->host && i < s->size; i++)
        if (s->host[i] < 0 || s->host[i] >= s->size)
            return weft_fail(WEFT_EINVAL, "%s: rank %d is on host %d, of %d peers",
                             weft_coll_name(s->coll), i, s->host[i], s->size);
    return WEFT_OK;
}

int weft_algo_build(const weft_algo *a, const weft_shape *s, weft_plan *ret)
{
    char objection[160];
    weft_plan p;
    int rc;

    if (s->coll != a->coll)
        return weft_fail(WEFT_EINVAL, "algorithm %s of %s asked for %s", a->name,
                         weft_coll_name(a->coll), weft_coll_name(s->coll));
    if (weft_coll_rooted(s->coll) && (s->root < 0 || s->root >= s->size))
        return weft_fail(WEFT_EINVAL, "%s: root %d of %d peers", weft_coll_name(s->coll), s->root,
                         s->size);
    if ((rc = weft_plan_init(&p, s->rank, s->size, s->count)) || (rc = check_hosts(s)))
        return rc;
    if (a->refuses && a->refuses(s, objection, sizeof objection))
        return weft_fail(WEFT_ENOTSUP, "%s: algorithm %s %s", weft_coll_name(a->coll), a->name,
                         objection);
    /* A graph says who talks to whom: its algorithms are not moved. */
    rc = s->order && !(a->traits & WEFT_ALGO_GRAPH) ? build_in_order(a, s, &p) : a->build(&p, s);
    if (rc) {
        weft_plan_free(&p);
        return weft_fail_context("%s %s", weft_coll_name(a->coll), a->name);
    }
    *ret = p;
    return WEFT_OK;
}
