/* SPDX-License-Identifier: Apache-2.0 */
#include "draw_stage.h"

#include <stdlib.h>
#include <string.h>

bool weft_stage_is(const weft_stage *s, const char *collective)
{
    return strcmp(s->q->collective, collective) == 0;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int load_actor(weft_schedule *plan, int rank, weft_stage_actor *a)
{
    const int rc = weft_schedule_rank(plan, rank, &a->count);
    if (rc != WEFT_OK) {
        return rc;
    }
    a->steps = calloc(a->count + 1, sizeof(*a->steps));
    if (a->steps == NULL) {
        return WEFT_ENOMEM;
    }
    for (size_t i = 0; i < a->count; i++) {
        a->steps[i].size = sizeof(*a->steps);
        (void)weft_schedule_step_get(plan, i, &a->steps[i]);
        if (a->steps[i].slot >= a->slot_count) {
            a->slot_count = a->steps[i].slot + 1;
        }
    }
    a->written = -1;
    return WEFT_OK;
}

/* The atoms: the stretches between neighbouring edges of any span. */
static int find_atoms(weft_stage *s)
{
    size_t count = 1, kept = 0;
    for (int r = 0; r < s->size; r++) {
        count += 2 * s->actors[r].count;
    }
    s->edges = calloc(count, sizeof(*s->edges));
    if (s->edges == NULL) {
        return WEFT_ENOMEM;
    }
    count = 1; /* an edge at 0 */
    for (int r = 0; r < s->size; r++) {
        for (size_t i = 0; i < s->actors[r].count; i++) {
            const weft_schedule_step *step = &s->actors[r].steps[i];
            s->edges[count++] = step->off;
            s->edges[count++] = step->off + step->count;
        }
    }
    qsort(s->edges, count, sizeof(*s->edges), by_value);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || s->edges[kept - 1] != s->edges[i]) {
            s->edges[kept++] = s->edges[i];
        }
    }
    s->atoms = (int)kept - 1;
    return WEFT_OK;
}

int weft_stage_atom(const weft_stage *s, uint64_t edge)
{
    const uint64_t *at =
        bsearch(&edge, s->edges, (size_t)s->atoms + 1, sizeof(*s->edges), by_value);
    return at != NULL ? (int)(at - s->edges) : 0;
}

static int load(weft_stage *s)
{
    weft_schedule *plan = NULL;
    int rc = weft_schedule_open(&plan, s->q);
    s->actors = calloc((size_t)s->size, sizeof(*s->actors));
    rc = rc == WEFT_OK && s->actors == NULL ? WEFT_ENOMEM : rc;
    for (int r = 0; r < s->size && rc == WEFT_OK; r++) {
        rc = load_actor(plan, r, &s->actors[r]);
    }
    if (rc == WEFT_OK) {
        const char *algo = weft_schedule_algo(plan);
        const size_t len = strnlen(algo, sizeof(s->story->algo) - 1);
        memcpy(s->story->algo, algo, len);
        s->story->rounds = weft_schedule_rounds(plan);
        rc = find_atoms(s);
    }
    weft_schedule_close(&plan);
    return rc;
}

/* How the two sides are cut, what travels, what cells show. */
static void lay_out(weft_stage *s)
{
    static const char *const sides[] = {"allgather", "gather", "scatter", "reduce_scatter"};
    s->layout = weft_stage_is(s, "alltoall")  ? WEFT_STAGE_BOTH
                : weft_stage_is(s, "barrier") ? WEFT_STAGE_NONE
                                              : WEFT_STAGE_VECTOR;
    for (size_t i = 0; i < sizeof(sides) / sizeof(*sides); i++) {
        s->layout = weft_stage_is(s, sides[i]) ? WEFT_STAGE_SIDE : s->layout;
    }
    s->reduces = weft_stage_is(s, "allreduce") || weft_stage_is(s, "reduce") ||
                 weft_stage_is(s, "reduce_scatter") || weft_stage_is(s, "neighbor_average");
    s->blocks = s->layout == WEFT_STAGE_BOTH   ? s->size * s->size
                : s->layout == WEFT_STAGE_SIDE ? s->size
                                               : 1;
}

static int make_cells(weft_stage *s)
{
    weft_story *t = s->story;
    t->cell_count = s->size > WEFT_STORY_HELD        ? 0
                    : s->layout == WEFT_STAGE_VECTOR ? s->atoms
                                                     : s->size;
    t->holds = s->layout == WEFT_STAGE_NONE ? "who has been heard of"
               : s->reduces                 ? "how much of the sum is there, of each part"
                                            : "what is there, of each part";
    t->cells = calloc((size_t)t->cell_count + 1, sizeof(*t->cells));
    t->held = calloc((size_t)(t->rounds + 1) * (size_t)t->peers * (size_t)t->cell_count + 1,
                     sizeof(*t->held));
    if (t->cells == NULL || t->held == NULL) {
        return WEFT_ENOMEM;
    }
    const double whole = s->edges[s->atoms] > 0 ? (double)s->edges[s->atoms] : 1.0;
    for (int c = 0; c < t->cell_count; c++) {
        t->cells[c] =
            s->layout == WEFT_STAGE_VECTOR
                ? (weft_story_cell){(double)s->edges[c] / whole, (double)s->edges[c + 1] / whole}
                : (weft_story_cell){(double)c / s->size, (double)(c + 1) / s->size};
    }
    return WEFT_OK;
}

void weft_stage_clear(weft_stage_content *c)
{
    free(c->sets);
    *c = (weft_stage_content){.message = -1};
}

static int allocate(weft_stage *s)
{
    const size_t pairs = (size_t)s->size * (size_t)s->size;
    s->heads = calloc(pairs, sizeof(*s->heads));
    s->tails = calloc(pairs, sizeof(*s->tails));
    if (s->heads == NULL || s->tails == NULL) {
        return WEFT_ENOMEM;
    }
    memset(s->heads, 0xff, pairs * sizeof(*s->heads));
    for (int r = 0; r < s->size; r++) {
        weft_stage_actor *a = &s->actors[r];
        a->slots = calloc((size_t)a->slot_count + 1, sizeof(*a->slots));
        a->out = calloc((size_t)s->blocks * (size_t)(s->atoms + 1), sizeof(*a->out));
        a->out_from = calloc((size_t)s->blocks * (size_t)(s->atoms + 1), sizeof(*a->out_from));
        a->most = calloc((size_t)s->story->cell_count + 1, sizeof(*a->most));
        a->heard = UINT64_C(1) << (r % 64);
        if (a->slots == NULL || a->out == NULL || a->out_from == NULL || a->most == NULL) {
            return WEFT_ENOMEM;
        }
    }
    return WEFT_OK;
}

void weft_stage_close(weft_stage *s)
{
    for (int r = 0; s->actors != NULL && r < s->size; r++) {
        weft_stage_actor *a = &s->actors[r];
        for (int i = 0; a->slots != NULL && i < a->slot_count; i++) {
            weft_stage_clear(&a->slots[i]);
        }
        free(a->slots);
        free(a->steps);
        free(a->out);
        free(a->out_from);
        free(a->most);
    }
    for (int i = 0; i < s->parcel_count; i++) {
        free(s->parcels[i].what.sets);
    }
    free(s->parcels);
    free(s->actors);
    free(s->edges);
    free(s->heads);
    free(s->tails);
}

int weft_stage_open(weft_stage *s)
{
    lay_out(s);
    int rc = load(s);
    rc = rc == WEFT_OK ? make_cells(s) : rc;
    return rc == WEFT_OK ? allocate(s) : rc;
}
