/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plans of all peers are walked with sets of contributors for bytes. A peer's time is the last
 * round it has waited for.
 */
#include "draw_story.h"

#include <stdlib.h>
#include <string.h>

#include "draw_stage.h"

static void *grown(void *array, int *cap, int need, size_t bytes)
{
    if (need <= *cap) {
        return array;
    }
    const int more = *cap > 0 ? 2 * *cap : 256;
    void *ret = reallocarray(array, (size_t)more, bytes);
    *cap = ret != NULL ? more : *cap;
    return ret;
}

/* Blocks of the input or output, among those that travel. */
static int in_block(const weft_stage *s, int rank, const weft_schedule_step *step)
{
    const bool alone = weft_stage_is(s, "allgather") || weft_stage_is(s, "gather");
    return s->layout == WEFT_STAGE_BOTH ? rank * s->size + (int)step->block
           : alone                      ? rank
                                        : (int)step->block;
}

static int out_block(const weft_stage *s, int rank, const weft_schedule_step *step)
{
    const bool alone = weft_stage_is(s, "scatter") || weft_stage_is(s, "reduce_scatter");
    return s->layout == WEFT_STAGE_BOTH ? (int)step->block * s->size + rank
           : alone                      ? rank
                                        : (int)step->block;
}

static bool make(const weft_stage *s, weft_stage_content *c, int block,
                 const weft_schedule_step *step)
{
    weft_stage_clear(c);
    c->block = block;
    c->first = weft_stage_atom(s, step->off);
    c->count = step->count > 0 ? weft_stage_atom(s, step->off + step->count) - c->first : 0;
    c->sets = calloc((size_t)c->count + 1, sizeof(*c->sets));
    return c->sets != NULL;
}

static bool copy(weft_stage_content *to, const weft_stage_content *from)
{
    uint64_t *sets = calloc((size_t)from->count + 1, sizeof(*sets));
    if (sets == NULL) {
        return false;
    }
    memcpy(sets, from->sets, (size_t)from->count * sizeof(*sets));
    free(to->sets);
    *to = *from;
    to->sets = sets;
    return true;
}

/* Nothing below reads the slot before it is filled anew: what it holds has moved on. */
static bool is_last_use(const weft_stage_actor *a, size_t index, int slot)
{
    for (size_t i = index + 1; i < a->count; i++) {
        const weft_schedule_step *step = &a->steps[i];
        if (step->verb == WEFT_DO_FENCE) {
            continue;
        }
        if (step->slot == slot) {
            return step->verb == WEFT_DO_PACK || step->verb == WEFT_DO_RECV ||
                   step->verb == WEFT_DO_REPLY;
        }
        if (step->verb == WEFT_DO_MERGE && step->other == slot) {
            return false;
        }
    }
    return true;
}

static weft_story_part part_of(const weft_stage *s, const weft_schedule_step *step)
{
    const double whole = s->edges[s->atoms] > 0 ? (double)s->edges[s->atoms] : 1.0;
    /* Of an exchange: for whom it is bound. */
    const int block = s->layout == WEFT_STAGE_BOTH ? step->travels % s->size : step->travels;
    const int blocks = s->layout == WEFT_STAGE_BOTH ? s->size : s->blocks;
    return (weft_story_part){((double)block + (double)step->off / whole) / blocks,
                             ((double)block + (double)(step->off + step->count) / whole) / blocks};
}

/* Note the message that this step belongs to; -1: no memory. */
static int note(weft_stage *s, int rank, size_t index)
{
    const weft_schedule_step *step = &s->actors[rank].steps[index];
    const bool begins = index == 0 || s->actors[rank].steps[index - 1].verb != WEFT_DO_SEND ||
                        !s->actors[rank].steps[index - 1].joined;
    weft_story *t = s->story;
    void *parts = grown(t->parts, &s->part_cap, s->part_count + 1, sizeof(*t->parts));
    void *messages =
        grown(t->messages, &s->message_cap, t->message_count + 1, sizeof(*t->messages));
    t->parts = parts != NULL ? parts : t->parts;
    t->messages = messages != NULL ? messages : t->messages;
    if (parts == NULL || messages == NULL) {
        return -1;
    }
    if (begins) {
        t->messages[t->message_count++] = (weft_story_message){
            .from = rank, .to = step->peer, .round = step->round, .first = s->part_count};
    }
    weft_story_message *m = &t->messages[t->message_count - 1];
    m->count++;
    m->elements += step->count;
    m->bytes += step->bytes;
    t->parts[s->part_count++] = part_of(s, step);
    return t->message_count - 1;
}

static bool send(weft_stage *s, int rank, size_t index)
{
    const weft_schedule_step *step = &s->actors[rank].steps[index];
    const int pair = rank * s->size + step->peer;
    const int message = note(s, rank, index);
    void *parcels = grown(s->parcels, &s->parcel_cap, s->parcel_count + 1, sizeof(*s->parcels));
    s->parcels = parcels != NULL ? parcels : s->parcels;
    if (message < 0 || parcels == NULL) {
        return false;
    }
    weft_stage_parcel *p = &s->parcels[s->parcel_count];
    *p = (weft_stage_parcel){.next = -1, .heard = s->actors[rank].heard};
    if (!copy(&p->what, &s->actors[rank].slots[step->slot])) {
        return false;
    }
    p->what.message = message;
    if (s->heads[pair] < 0) {
        s->heads[pair] = s->parcel_count;
    } else {
        s->parcels[s->tails[pair]].next = s->parcel_count;
    }
    s->tails[pair] = s->parcel_count++;
    return true;
}

/* Into the output. What was there before something is added has been combined too. */
static void put_out(weft_stage *s, int rank, const weft_schedule_step *step)
{
    weft_stage_actor *a = &s->actors[rank];
    const weft_stage_content *c = &a->slots[step->slot];
    const size_t first = (size_t)out_block(s, rank, step) * (size_t)s->atoms + (size_t)c->first;
    for (size_t i = first; i < first + (size_t)c->count; i++) {
        if (step->verb == WEFT_DO_UNPACK) {
            a->out[i] = c->sets[i - first];
            a->out_from[i] = c->message;
        } else {
            a->out[i] |= c->sets[i - first];
            if (a->out_from[i] >= 0) {
                s->story->messages[a->out_from[i]].reduces = true;
            }
        }
    }
}

/* What reads slots and writes the output. */
static bool work(weft_stage *s, int rank, const weft_schedule_step *step)
{
    weft_stage_actor *a = &s->actors[rank];
    weft_stage_content *c = &a->slots[step->slot];
    const uint64_t own = UINT64_C(1) << (rank % 64);
    uint64_t *out;
    switch (step->verb) {
    case WEFT_DO_PACK:
        if (!make(s, c, in_block(s, rank, step), step)) {
            return false;
        }
        for (int i = 0; i < c->count; i++) {
            c->sets[i] = own;
        }
        return true;
    case WEFT_DO_REPLY:
        if (!make(s, c, out_block(s, rank, step), step)) {
            return false;
        }
        out = a->out + (size_t)c->block * (size_t)s->atoms;
        memcpy(c->sets, out + c->first, (size_t)c->count * sizeof(*out));
        return true;
    case WEFT_DO_FOLD:
        for (int i = 0; i < c->count; i++) {
            c->sets[i] |= own;
        }
        break;
    case WEFT_DO_MERGE:
        for (int i = 0; i < c->count; i++) {
            c->sets[i] |= a->slots[step->other].sets[i];
        }
        if (a->slots[step->other].message >= 0) {
            s->story->messages[a->slots[step->other].message].reduces = true;
        }
        break;
    case WEFT_DO_UNPACK:
    case WEFT_DO_ADD:
        put_out(s, rank, step);
        break;
    default:
        return true;
    }
    if (step->verb != WEFT_DO_UNPACK && c->message >= 0) {
        s->story->messages[c->message].reduces = true;
    }
    return true;
}

/* Is every receive since the last fence under way or here? */
static bool all_sent(const weft_stage *s, int rank)
{
    const weft_stage_actor *a = &s->actors[rank];
    for (size_t i = a->behind; i < a->at; i++) {
        const weft_schedule_step *step = &a->steps[i];
        if (step->verb == WEFT_DO_RECV) {
            int wanted = 0;
            for (size_t k = a->behind; k < i; k++) {
                wanted += a->steps[k].verb == WEFT_DO_RECV && a->steps[k].peer == step->peer;
            }
            int at = s->heads[step->peer * s->size + rank];
            while (at >= 0 && wanted-- > 0) {
                at = s->parcels[at].next;
            }
            if (at < 0) {
                return false;
            }
        }
    }
    return true;
}

static double share(const weft_stage *s, uint64_t set)
{
    return s->reduces ? (double)__builtin_popcountll(set) / s->size : set != 0 ? 1.0 : 0.0;
}

/* What a peer holds of an atom of a travelling block. */
static double holds(const weft_stage *s, int rank, int block, int atom)
{
    const weft_stage_actor *a = &s->actors[rank];
    const bool has_input = weft_stage_is(s, "broadcast") || weft_stage_is(s, "scatter")
                               ? rank == s->q->root
                           : weft_stage_is(s, "allgather") || weft_stage_is(s, "gather")
                               ? block == rank
                               : s->layout != WEFT_STAGE_BOTH;
    double most = has_input ? share(s, UINT64_C(1) << (rank % 64)) : 0.0;
    const double out = share(s, a->out[(size_t)block * (size_t)s->atoms + (size_t)atom]);
    most = out > most ? out : most;
    for (int i = 0; i < a->slot_count && s->layout != WEFT_STAGE_BOTH; i++) {
        const weft_stage_content *c = &a->slots[i];
        if (c->sets != NULL && c->block == block && atom >= c->first &&
            atom < c->first + c->count) {
            const double got = share(s, c->sets[atom - c->first]);
            most = got > most ? got : most;
        }
    }
    return most;
}

static float cell_value(const weft_stage *s, int rank, int cell)
{
    double sum = 0.0;
    if (s->layout == WEFT_STAGE_NONE) {
        return (float)(s->actors[rank].heard >> cell & 1);
    }
    if (s->layout == WEFT_STAGE_VECTOR) {
        return (float)holds(s, rank, 0, cell);
    }
    const int block = s->layout == WEFT_STAGE_BOTH ? cell * s->size + rank : cell;
    for (int atom = 0; atom < s->atoms; atom++) {
        sum += holds(s, rank, block, atom);
    }
    return (float)(s->atoms > 0 ? sum / s->atoms : 0.0);
}

/* After a step: what has come. */
static void look(const weft_stage *s, int rank)
{
    weft_stage_actor *a = &s->actors[rank];
    for (int c = 0; c < s->story->cell_count; c++) {
        const float now = cell_value(s, rank, c);
        a->most[c] = now > a->most[c] ? now : a->most[c];
    }
}

/* The peer goes on to a later round: the most that it held since the one before, then what it has
 * kept. */
static void write_down(const weft_stage *s, int rank, int until)
{
    weft_stage_actor *a = &s->actors[rank];
    const weft_story *t = s->story;
    while (a->written + 1 < until) {
        a->written++;
        for (int c = 0; c < t->cell_count; c++) {
            const size_t row = (size_t)a->written * (size_t)t->peers + (size_t)rank;
            t->held[row * (size_t)t->cell_count + (size_t)c] = a->most[c];
            a->most[c] = cell_value(s, rank, c);
        }
    }
}

static void take_all(weft_stage *s, int rank)
{
    weft_stage_actor *a = &s->actors[rank];
    int clock = a->clock;
    for (size_t i = a->behind; i < a->at; i++) {
        if (a->steps[i].verb == WEFT_DO_RECV && a->steps[i].round > clock) {
            clock = a->steps[i].round;
        }
    }
    write_down(s, rank, clock);
    for (size_t i = a->behind; i < a->at; i++) {
        const weft_schedule_step *step = &a->steps[i];
        if (step->verb != WEFT_DO_RECV) {
            continue;
        }
        const int pair = step->peer * s->size + rank;
        weft_stage_parcel *p = &s->parcels[s->heads[pair]];
        s->heads[pair] = p->next;
        weft_stage_clear(&a->slots[step->slot]);
        a->slots[step->slot] = p->what;
        p->what.sets = NULL;
        a->heard |= p->heard;
    }
    a->clock = clock;
    a->behind = a->at + 1;
}

/* One step. *ret_wait: it cannot yet. */
static bool step_on(weft_stage *s, int rank, bool *ret_wait)
{
    weft_stage_actor *a = &s->actors[rank];
    const size_t index = a->at;
    const weft_schedule_step *step = &a->steps[index];
    bool good = true;
    *ret_wait = false;
    if (step->verb == WEFT_DO_FENCE) {
        if (!all_sent(s, rank)) {
            *ret_wait = true;
            return true;
        }
        take_all(s, rank);
    } else if (step->verb == WEFT_DO_SEND) {
        good = send(s, rank, index);
    } else if (step->verb != WEFT_DO_RECV) {
        good = work(s, rank, step);
    }
    look(s, rank);
    if (step->verb == WEFT_DO_SEND || step->verb == WEFT_DO_UNPACK || step->verb == WEFT_DO_ADD) {
        if (is_last_use(a, index, step->slot)) {
            weft_stage_clear(&a->slots[step->slot]);
        }
    }
    if (step->verb == WEFT_DO_MERGE && is_last_use(a, index, step->other)) {
        weft_stage_clear(&a->slots[step->other]);
    }
    a->at++;
    return good;
}

/* Each peer as far as it comes, again and again. */
static int play(weft_stage *s)
{
    for (int r = 0; r < s->size; r++) {
        look(s, r);
    }
    for (bool moved = true; moved;) {
        moved = false;
        for (int r = 0; r < s->size; r++) {
            weft_stage_actor *a = &s->actors[r];
            bool wait = false;
            while (a->at < a->count && !wait) {
                if (!step_on(s, r, &wait)) {
                    return WEFT_ENOMEM;
                }
                moved = moved || !wait;
            }
        }
    }
    for (int r = 0; r < s->size; r++) {
        write_down(s, r, s->story->rounds + 1);
    }
    return WEFT_OK;
}

static int by_round(const void *a, const void *b)
{
    const weft_story_message *x = a, *y = b;
    if (x->round != y->round) {
        return x->round < y->round ? -1 : 1;
    }
    if (x->from != y->from) {
        return x->from < y->from ? -1 : 1;
    }
    return (x->first > y->first) - (x->first < y->first);
}

int weft_story_open(weft_story *ret, const weft_query *q)
{
    weft_story story = {.peers = q->peers};
    weft_stage s = {.story = &story, .q = q, .size = q->peers};
    int rc = weft_stage_open(&s);
    rc = rc == WEFT_OK ? play(&s) : rc;
    weft_stage_close(&s);
    if (rc != WEFT_OK) {
        weft_story_close(&story);
        return rc;
    }
    if (story.message_count > 0) {
        qsort(story.messages, (size_t)story.message_count, sizeof(*story.messages), by_round);
    }
    *ret = story;
    return WEFT_OK;
}

void weft_story_close(weft_story *story)
{
    free(story->messages);
    free(story->parts);
    free(story->cells);
    free(story->held);
    *story = (weft_story){.peers = 0};
}

float weft_story_held(const weft_story *story, int round, int rank, int cell)
{
    const size_t row = (size_t)round * (size_t)story->peers + (size_t)rank;
    return story->held[row * (size_t)story->cell_count + (size_t)cell];
}
