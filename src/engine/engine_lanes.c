/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: begun, put on their steps, done.
 *
 * Many long operations at once would have all their lanes under way at once: megabytes that leave
 * the caches before they are used (8 of 4 MiB took 1.1 times as long as one of 32 MiB). So of
 * operations with several lanes only WEFT_LANES_ALL lanes are on their steps; the others are
 * parked: what comes for them is kept, they send nothing. The first operation of each context is
 * never parked. Operations have the same order on all peers, so it ends, and the next one is the
 * first.
 */
#include "engine/engine_state.h"

void weft_lane_ready(weft_engine *e, weft_lane *lane)
{
    if (!lane->queued && !lane->parked) {
        lane->queued = true;
        lane->next = NULL;
        *e->ready_tail = lane;
        e->ready_tail = &lane->next;
    }
}

static bool counts(const weft_operation *op)
{
    return op->request->lane_count > 1;
}

static void start(weft_engine *e, weft_lane *lane)
{
    lane->parked = false;
    lane->operation->resumed = true;
    e->parked--;
    e->started++;
    weft_lane_ready(e, lane);
}

void weft_lanes_start_all(weft_context *c)
{
    for (weft_operation *op = c->engine->working; op != NULL; op = op->after) {
        for (uint64_t l = op->lowest; l < op->next && op->context == c; l++) {
            if (op->lanes[l % WEFT_LANES].parked) {
                start(c->engine, &op->lanes[l % WEFT_LANES]);
            }
        }
    }
}

void weft_lanes_start(weft_engine *e)
{
    if (e->parked == 0) {
        return;
    }
    e->look++;
    for (weft_operation *op = e->working; op != NULL; op = op->after) {
        const bool first = op->context->look != e->look;
        op->context->look = e->look;
        for (uint64_t l = op->lowest; l < op->next && (first || e->started < WEFT_LANES_ALL); l++) {
            weft_lane *lane = &op->lanes[l % WEFT_LANES];
            if (lane->parked) {
                start(e, lane);
            }
        }
    }
}

void weft_lanes_begin(weft_engine *e, weft_operation *op)
{
    while (op->next < op->request->lane_count && op->next < op->lowest + WEFT_LANES) {
        weft_lane *lane = &op->lanes[op->next % WEFT_LANES];
        lane->index = op->next++;
        lane->busy = true;
        lane->parked = counts(op);
        e->parked += lane->parked;
        weft_lane_ready(e, lane);
    }
    weft_lanes_start(e);
}

void weft_lane_sent(weft_engine *e, weft_operation *op, uint64_t index)
{
    weft_lane *lane = &op->lanes[index % WEFT_LANES];
    lane->pending--;
    if (lane->pending == 0 && lane->pc == weft_lane_plan(op, index)->step_count) {
        weft_lane_ready(e, lane);
    }
}

void weft_lane_end(weft_engine *e, weft_lane *lane)
{
    if (counts(lane->operation)) {
        e->parked -= lane->parked;
        e->started -= !lane->parked;
    }
    lane->parked = false;
    weft_lane_clear(lane);
}

/* Those that waited for this one did not wait in vain. */
static void tell_parked(const weft_engine *e, const weft_operation *ended, int64_t now)
{
    for (weft_operation *op = ended->after; op != NULL && e->parked > 0; op = op->after) {
        if (op->context == ended->context && weft_op_parked(op)) {
            op->progress = now;
        }
    }
}

bool weft_op_parked(const weft_operation *op)
{
    return op->lowest < op->next && op->lanes[op->lowest % WEFT_LANES].parked;
}

void weft_lane_done(weft_engine *e, int64_t now, weft_lane *lane)
{
    weft_operation *op = lane->operation;
    weft_lane_end(e, lane);
    op->done++;
    op->progress = now;
    tell_parked(e, op, now);
    while (op->lowest < op->next && !op->lanes[op->lowest % WEFT_LANES].busy) {
        op->lowest++;
        weft_lanes_begin(e, op);
    }
    if (op->done == op->request->lane_count) {
        weft_op_end(e, op, NULL); /* and whose turn comes by that starts */
        weft_op_turns(e, now);
    } else {
        weft_lanes_start(e);
        weft_flow_grants(e, now, op);
    }
}
