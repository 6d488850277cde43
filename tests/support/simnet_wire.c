/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of the simulator, what goes over them, and what goes wrong. */
#include <stdlib.h>
#include <string.h>

#include "support/simnet_state.h"

/* ---- connections ----------------------------------------------------------------------------- */

static sim_wire *find(simnet *n, const sim_node *at, uint32_t conn, int *ret_end)
{
    for (int i = n->wire_count - 1; i >= 0; i--) {
        for (int end = 0; end < 2; end++) {
            if (n->wires[i]->at[end] == at && n->wires[i]->conn[end] == conn) {
                *ret_end = end;
                return n->wires[i];
            }
        }
    }
    return NULL;
}

/* The end hears that its connection is down, after what is still on its way to it. */
void sim_down_soon(simnet *n, sim_wire *w, int end)
{
    if (w->closed[end] || w->down_due[end]) {
        return;
    }
    const int64_t at = n->now + sim_some(n, n->o.delay_ns);
    w->down_due[end] = true;
    sim_put(n, (sim_event){.at = at > w->last[end] ? at : w->last[end],
                           .kind = SIM_DOWN,
                           .node = w->at[end],
                           .wire = w,
                           .end = end});
}

/* The other end has gone. */
static void end_shows(simnet *n, sim_wire *w, int end)
{
    if (end == 0 || w->up) {
        sim_down_soon(n, w, end);
    }
}

static bool refused(const simnet *n, int a, int b)
{
    for (int i = 0; i < n->fault_count; i++) {
        const simnet_fault *f = &n->faults[i];
        if (f->kind == SIMNET_REFUSE && f->done && n->now < n->until[i] &&
            ((f->rank == a && f->peer == b) || (f->rank == b && f->peer == a))) {
            return true;
        }
    }
    return false;
}

int sim_dial(void *user, uint32_t conn, int rank)
{
    sim_node *me = user;
    simnet *n = me->net;
    if (me->mute) {
        return WEFT_OK;
    }
    if (n->wire_count == SIMNET_WIRES) {
        sim_offend(n, "rank %d dials again and again", me->rank);
        return weft_fail(WEFT_EIO, "too many dials");
    }
    if (refused(n, me->rank, rank) && sim_coin(n)) {
        return weft_fail(WEFT_EIO, "refused at once"); /* as where a process lacks descriptors */
    }
    sim_wire *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        abort();
    }
    n->wires[n->wire_count++] = w;
    w->at[0] = me;
    w->at[1] = &n->nodes[rank];
    w->conn[0] = conn;
    const bool fails = refused(n, me->rank, rank) || w->at[1]->gone;
    w->down_due[0] = fails;
    sim_put(n, (sim_event){.at = n->now + sim_some(n, n->o.delay_ns),
                           .kind = fails ? SIM_DOWN : SIM_UP,
                           .node = me,
                           .wire = w});
    return WEFT_OK;
}

void sim_drop(void *user, uint32_t conn)
{
    sim_node *me = user;
    int end = 0;
    sim_wire *w = find(me->net, me, conn, &end);
    if (w != NULL && !w->closed[end]) {
        w->closed[end] = true;
        if (!me->mute) {
            end_shows(me->net, w, 1 - end);
        }
    }
}

/* A message of its own, exactly as long as the frame: reading past its end is seen. */
static void release_copy(weft_message *m)
{
    free(m->data);
    free(m);
}

static weft_message *copy_of(const weft_message *m)
{
    weft_message *copy = calloc(1, sizeof(*copy));
    uint8_t *data = malloc(m->len);
    if (copy == NULL || data == NULL) {
        abort();
    }
    memcpy(data, m->data, m->len);
    *copy = (weft_message){.data = data, .len = m->len, .cap = m->len, .release = release_copy};
    atomic_init(&copy->refs, 1);
    return copy;
}

static void deliver(simnet *n, sim_wire *w, int end, weft_message *m)
{
    int64_t delay = sim_some(n, n->o.delay_ns);
    for (int i = 0; i < n->fault_count; i++) {
        const simnet_fault *f = &n->faults[i];
        if (f->kind == SIMNET_SLOW && f->done && f->rank == w->at[1 - end]->rank &&
            f->peer == w->at[end]->rank) {
            delay += f->ns;
        }
    }
    const int64_t at = n->now + delay;
    w->last[end] = at > w->last[end] ? at : w->last[end];
    if (n->copies) {
        weft_message *copy = copy_of(m);
        weft_message_unref(m);
        m = copy;
    }
    sim_put(n, (sim_event){.at = w->last[end],
                           .kind = SIM_FRAME,
                           .node = w->at[end],
                           .wire = w,
                           .end = end,
                           .message = m});
    if (w->held[end] != NULL) {
        m = w->held[end];
        w->held[end] = NULL;
        deliver(n, w, end, m);
    }
}

void sim_frame(simnet *n, const sim_event *ev)
{
    sim_wire *w = ev->wire;
    w->lost[ev->end] = w->lost[ev->end] || (w->lossy && sim_coin(n));
    if (w->closed[ev->end] || w->lost[ev->end]) {
        weft_message_unref(ev->message);
        return;
    }
    if (w->conn[ev->end] == 0) {
        ev->node->accepted += 2;
        w->conn[ev->end] = ev->node->accepted;
    }
    weft_engine_frame(ev->node->engine, n->now, w->conn[ev->end], ev->message);
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* All its connections end; what it sent last may be lost where it had no time for a farewell. */
static void hang_up(simnet *n, sim_node *victim, bool farewell)
{
    victim->mute = true;
    victim->gone = true;
    for (int i = 0; i < n->wire_count; i++) {
        sim_wire *w = n->wires[i];
        for (int end = 0; end < 2; end++) {
            if (w->at[end] == victim && !w->closed[end]) {
                w->lossy = w->lossy || (!farewell && sim_coin(n));
                w->closed[end] = true;
                end_shows(n, w, 1 - end);
            }
        }
    }
}

static void cut(simnet *n, sim_wire *w)
{
    w->cut = true;
    w->lossy = sim_coin(n);
    sim_down_soon(n, w, 0);
    sim_down_soon(n, w, 1);
}

static bool cut_between(simnet *n, int a, int b)
{
    for (int i = 0; i < n->wire_count; i++) {
        sim_wire *w = n->wires[i];
        const int x = w->at[0]->rank, y = w->at[1]->rank;
        if (((x == a && y == b) || (x == b && y == a)) && w->up && !w->closed[0] && !w->closed[1] &&
            !w->down_due[0] && !w->down_due[1]) {
            cut(n, w);
            return true;
        }
    }
    return false;
}

/* Faults that are not of one frame. */
void sim_strike(simnet *n)
{
    for (int i = 0; i < n->fault_count; i++) {
        simnet_fault *f = &n->faults[i];
        sim_node *victim = &n->nodes[f->rank];
        if (f->done || n->frames < f->at || f->kind >= SIMNET_FLIP || victim->mute) {
            continue;
        }
        f->done = true;
        switch (f->kind) {
        case SIMNET_KILL:
            hang_up(n, victim, false);
            break;
        case SIMNET_VANISH:
            victim->mute = true;
            break;
        case SIMNET_STALL:
            victim->awake_at = n->now + f->ns;
            break;
        case SIMNET_STOP:
            weft_engine_stop(victim->engine, n->now);
            hang_up(n, victim, true);
            break;
        case SIMNET_CUT:
            f->done = cut_between(n, f->rank, f->peer);
            break;
        case SIMNET_REFUSE:
            n->until[i] = n->now + f->ns;
            break;
        default:
            break;
        }
    }
}

/* The fault of this frame; it may be gone then (NULL). */
static weft_message *spoil(simnet *n, sim_wire *w, int end, weft_message *m)
{
    for (int i = 0; i < n->fault_count; i++) {
        simnet_fault *f = &n->faults[i];
        if (f->done || f->kind < SIMNET_FLIP || f->at != n->frames) {
            continue;
        }
        f->done = true;
        f->rank = w->at[1 - end]->rank;
        f->peer = w->at[end]->rank;
        weft_message *copy = copy_of(m);
        switch (f->kind) {
        case SIMNET_FLIP:
            copy->data[weft_rng_below(&n->rng, copy->len)] ^= (uint8_t)(1u << sim_some(n, 7));
            weft_message_unref(m);
            return copy;
        case SIMNET_TWICE:
            deliver(n, w, end, copy);
            return m;
        case SIMNET_SWAP:
            weft_message_unref(w->held[end]); /* of a swap before: lost */
            w->held[end] = copy;
            weft_message_unref(m);
            return NULL;
        default:
            weft_message_unref(copy);
            weft_message_unref(m);
            return NULL;
        }
    }
    return m;
}

bool sim_send(void *user, uint32_t conn, weft_message *m)
{
    sim_node *me = user;
    simnet *n = me->net;
    int end = 0;
    sim_wire *w = find(n, me, conn, &end);
    const bool lost = me->mute;
    const bool fails =
        w == NULL || w->closed[end] || (end == 0 && !w->up) || (n->refuses && w->down_due[end]);
    const bool ends = !fails && (w->closed[1 - end] || w->cut);
    if (!lost && !fails && ends && end == 1 && n->shown_by_send) {
        sim_down_soon(n, w, end);
        weft_message_unref(m);
        return false;
    }
    if (lost || fails || ends) {
        weft_message_unref(m);
        return lost || !fails;
    }
    m = spoil(n, w, 1 - end, m);
    n->frames++;
    if (m != NULL) {
        deliver(n, w, 1 - end, m);
    }
    return true;
}
