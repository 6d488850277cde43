/* SPDX-License-Identifier: Apache-2.0 */
/* A rank in virtual time: lanes begun and ended, one piece of work at a time. */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "plan/clock_state.h"

uint64_t weft_clock_grant_of(const weft_clock *c, const weft_clock_rank *r)
{
    const uint64_t grant = r->lowest + (uint64_t)c->net->lanes;
    return grant < c->job->lanes ? grant : c->job->lanes;
}

static void ready(weft_clock_rank *r, const weft_clock_lane *lane)
{
    const int at = (r->ready_first + r->ready_count++) % WEFT_CLOCK_LANES;
    r->ready[at] = (int)(lane - r->lanes);
}

void weft_clock_resume(weft_clock_rank *r, weft_clock_lane *lane)
{
    const bool at_end = lane->pc == lane->tape->op_count;

    if (lane->stopped && (at_end ? lane->pending == 0 : lane->waiting == 0)) {
        lane->stopped = false;
        ready(r, lane);
    }
}

static void begin_lanes(const weft_clock *c, weft_clock_rank *r)
{
    const uint64_t lanes = c->job->lanes, most = (uint64_t)c->net->lanes;

    while (r->next < lanes && r->next < r->lowest + most) {
        weft_clock_lane *lane = &r->lanes[r->next % most];
        lane->index = r->next++;
        lane->tape = &r->tapes[c->job->rest && lane->index + 1 == lanes];
        lane->busy = true;
        ready(r, lane);
    }
}

/* Who sends here learns how far this rank is, unless data go there at once and tell it, or little
 * comes. */
static void greet(weft_clock *c, const weft_clock_rank *r)
{
    bool prompt = c->job->lanes == 1;

    for (uint32_t k = 0; k < r->tapes[0].peer_count; k++) {
        const weft_tape_peer *peer = &r->tapes[0].peers[k];
        prompt = prompt && peer->comes + peer->parts * WEFT_CLOCK_HEADER <= WEFT_CLOCK_SMALL;
    }
    for (int k = 0; k < r->conns && !prompt; k++) {
        const weft_clock_conn *conn = &c->conns[r->first_conn + k];
        if (conn->feeds && !conn->prompt)
            weft_clock_grant(c, r->first_conn + k);
    }
}

static void finish(weft_clock *c, weft_clock_rank *r)
{
    r->finished = true;
    r->finish = c->now;
    c->unfinished--;
    for (int i = 0; i < c->net->lanes; i++) {
        weft_free(r->lanes[i].here);
        r->lanes[i].here = NULL;
    }
    weft_tape_free(&r->tapes[0]);
    weft_tape_free(&r->tapes[1]);
}

static void end_lane(weft_clock *c, weft_clock_rank *r, weft_clock_lane *lane)
{
    const uint64_t most = (uint64_t)c->net->lanes;

    if (lane->tape->recv_count > 0)
        memset(lane->here, 0, lane->tape->recv_count);
    lane->busy = false;
    lane->pc = 0;
    r->done++;
    while (r->lowest < r->next && !r->lanes[r->lowest % most].busy) {
        r->lowest++;
        begin_lanes(c, r);
    }
    if (r->done == c->job->lanes) {
        finish(c, r);
        return;
    }
    const uint64_t grant = weft_clock_grant_of(c, r);
    for (int k = 0; k < r->conns; k++) {
        const weft_clock_conn *conn = &c->conns[r->first_conn + k];
        if (conn->feeds && grant > conn->told &&
            (grant >= conn->told + most / 2 || grant == c->job->lanes))
            weft_clock_grant(c, r->first_conn + k);
    }
}

/* Work of so many seconds begins, what it owes first. false: it takes no time. */
static bool busy(weft_clock *c, int rank, int at_work, double seconds)
{
    weft_clock_rank *r = &c->ranks[rank];
    const double all = seconds + r->debt;

    r->debt = 0;
    if (all <= 0)
        return false;
    r->at_work = at_work;
    weft_clock_heap_set(&c->heap, rank, c->now + all);
    return true;
}

static void send(weft_clock *c, const weft_clock_rank *r, weft_clock_lane *lane)
{
    const weft_tape_op *op = &lane->tape->ops[lane->pc++];
    weft_clock_data(c, r->first_conn + (int)op->peer, lane, op->index, op->amount);
}

/* As far as it goes without taking time. */
static void run(weft_clock *c, int rank, int which)
{
    weft_clock_rank *r = &c->ranks[rank];
    weft_clock_lane *lane = &r->lanes[which];

    while (lane->pc < lane->tape->op_count) {
        const weft_tape_op *op = &lane->tape->ops[lane->pc];
        switch ((weft_tape_kind)op->kind) {
        case WEFT_TAPE_FENCE:
            if (lane->waiting > 0) {
                lane->stopped = true;
                return;
            }
            lane->pc++;
            break;
        case WEFT_TAPE_RECV:
            lane->waiting += !lane->here[op->index];
            lane->pc++;
            break;
        case WEFT_TAPE_SEND:
            if (busy(c, rank, which, c->net->send_s))
                return;
            send(c, r, lane);
            break;
        case WEFT_TAPE_WORK:
            if (busy(c, rank, which, op->amount))
                return;
            lane->pc++;
            break;
        }
    }
    if (lane->pending == 0)
        end_lane(c, r, lane);
    else
        lane->stopped = true;
}

static void receive(weft_clock *c, weft_clock_rank *r, const weft_clock_message *m, int peer)
{
    weft_clock_lane *lane = &r->lanes[m->lane % (uint64_t)c->net->lanes];

    if (!lane->busy || lane->index != m->lane) {
        c->failed = weft_fail(WEFT_EINTERNAL, "clock: lane %llu goes beyond the grant",
                              (unsigned long long)m->lane);
        return;
    }
    const uint32_t at = lane->tape->peers[peer].first_recv + m->index;
    r->received += (uint64_t)m->bytes;
    lane->here[at] = 1;
    if (lane->pc > lane->tape->recv_ops[at]) {
        lane->waiting--;
        weft_clock_resume(r, lane);
    }
}

/* What a message brings: the grant, and of data a receive. */
static void deliver(weft_clock *c, int rank, int message)
{
    weft_clock_rank *r = &c->ranks[rank];
    const weft_clock_message *m = &c->messages[message];
    const int answer = c->conns[m->conn].back;
    weft_clock_conn *back = &c->conns[answer];

    if (m->data)
        receive(c, r, m, answer - r->first_conn);
    if (m->grant > back->granted) {
        back->granted = m->grant;
        if (back->blocked.first >= 0)
            weft_clock_flush(c, answer);
    }
}

void weft_clock_work(weft_clock *c, int rank)
{
    weft_clock_rank *r = &c->ranks[rank];

    while (r->at_work == WEFT_CLOCK_IDLE) {
        if (r->inbox.first >= 0) {
            if (!busy(c, rank, WEFT_CLOCK_TAKING, c->net->receive_s)) {
                const int message = weft_clock_pull(c, &r->inbox);
                deliver(c, rank, message);
                weft_clock_forget(c, message);
            }
        } else if (r->ready_count > 0) {
            const int which = r->ready[r->ready_first];
            r->ready_first = (r->ready_first + 1) % WEFT_CLOCK_LANES;
            r->ready_count--;
            run(c, rank, which);
        } else {
            return;
        }
    }
}

void weft_clock_take(weft_clock *c, int rank, int message)
{
    weft_clock_rank *r = &c->ranks[rank];

    if (!r->started) {
        weft_clock_push(c, &r->early, message);
        return;
    }
    if (r->finished) { /* late grants are normal; data are counted at the end */
        weft_clock_forget(c, message);
        return;
    }
    weft_clock_push(c, &r->inbox, message);
    weft_clock_work(c, rank);
}

static void start(weft_clock *c, weft_clock_rank *r)
{
    r->started = true;
    begin_lanes(c, r);
    greet(c, r);
    r->inbox = r->early;
    r->early = (weft_clock_list){-1, -1};
}

void weft_clock_rank_turn(weft_clock *c, int rank)
{
    weft_clock_rank *r = &c->ranks[rank];
    const int was = r->at_work;

    r->at_work = WEFT_CLOCK_IDLE;
    if (was == WEFT_CLOCK_STARTING) {
        start(c, r);
    } else if (was == WEFT_CLOCK_TAKING) {
        const int message = weft_clock_pull(c, &r->inbox);
        deliver(c, rank, message);
        weft_clock_forget(c, message);
    } else if (was >= 0) {
        weft_clock_lane *lane = &r->lanes[was];
        if (lane->tape->ops[lane->pc].kind == WEFT_TAPE_SEND) {
            send(c, r, lane);
            run(c, rank, was);
        } else if (++lane->pc == lane->tape->op_count) {
            run(c, rank, was);
        } else {
            ready(r, lane);
        }
    }
    weft_clock_work(c, rank);
}
