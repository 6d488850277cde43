/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credit: DATA to a peer that may not know the context yet.
 *
 * It has no context there to which the bounds of early frames could belong, and there may be many
 * such contexts. So all of it counts on the link, up to WEFT_CREDIT bytes, until the receiver has
 * used it and gives the credit back, in the next BEAT or, where it is much, at once.
 */
#include "engine/engine_state.h"

bool weft_credit_take(weft_peer *p, size_t len)
{
    if (p->credit + weft_credit_cost(len) > WEFT_CREDIT) {
        return false;
    }
    p->credit += weft_credit_cost(len);
    return true;
}

void weft_credit_back(weft_peer *p, size_t len)
{
    p->credit -= weft_credit_cost(len);
}

void weft_credit_wait(weft_engine *e, weft_flow *flow)
{
    weft_peer *p = &e->peers[flow->rank];
    if (!flow->starved) {
        flow->starved = true;
        flow->next_starved = p->starved;
        p->starved = flow;
    }
}

void weft_credit_forget(weft_engine *e, weft_flow *flow)
{
    weft_flow **at = &e->peers[flow->rank].starved;
    if (!flow->starved) {
        return;
    }
    while (*at != flow) {
        at = &(*at)->next_starved;
    }
    *at = flow->next_starved;
    flow->starved = false;
}

void weft_credit_used(weft_engine *e, weft_peer *p, size_t len)
{
    p->owed += weft_credit_cost(len);
    e->owing = e->owing || p->owed >= WEFT_CREDIT / 4;
}

void weft_credit_settle(weft_engine *e, int64_t now)
{
    for (int r = 0; r < e->size && e->owing; r++) {
        weft_peer *p = &e->peers[r];
        if (p->owed >= WEFT_CREDIT / 4 && p->state == WEFT_PEER_UP) {
            weft_send_beat(e, now, p);
        }
    }
    e->owing = false;
}

/* The longest waiting first; some may have to wait again. */
static void feed_starved(weft_engine *e, int64_t now, weft_peer *p)
{
    weft_flow *first = NULL;
    for (weft_flow *flow = p->starved, *next; flow != NULL; flow = next) {
        next = flow->next_starved;
        flow->next_starved = first;
        first = flow;
    }
    p->starved = NULL;
    while (first != NULL) {
        weft_flow *flow = first;
        first = flow->next_starved;
        flow->starved = false;
        weft_flow_flush(e, now, flow);
    }
}

void weft_credit_frame(weft_engine *e, int64_t now, weft_peer *p, const weft_frame *f)
{
    if (f->lane > p->credit) {
        weft_fail_violation(e, p, f, "gives back more credit than it got");
        return;
    }
    p->credit -= f->lane;
    if (f->lane > 0 && p->starved != NULL) {
        feed_starved(e, now, p);
    }
}
