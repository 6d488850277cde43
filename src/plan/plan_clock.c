/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: what happens next, until nothing does. */
#include "plan/plan_clock.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/status.h"
#include "plan/clock_state.h"

/* Things that happen within so many seconds share out the links once. */
static const double together = 1e-10;

static int build_tape(weft_clock *c, int rank, bool last, weft_tape *ret)
{
    weft_plan p = {0};
    int rc = c->job->build(c->job->user, rank, last, &p);

    if (rc)
        return rc;
    rc = weft_tape_make(ret, &p, &c->rates, c->job->bound, c->job->user);
    weft_plan_free(&p);
    return rc;
}

static int open_rank(weft_clock *c, int rank)
{
    weft_clock_rank *r = &c->ranks[rank];
    const size_t lanes = (size_t)c->net->lanes;
    int rc = build_tape(c, rank, c->job->lanes == 1, &r->tapes[0]);

    if (!rc && c->job->rest)
        rc = build_tape(c, rank, true, &r->tapes[1]);
    if (rc)
        return rc;
    const uint32_t a = r->tapes[0].recv_count, b = r->tapes[1].recv_count;
    r->conns = (int)r->tapes[0].peer_count;
    r->early = r->inbox = (weft_clock_list){-1, -1};
    r->lanes = weft_calloc(lanes, sizeof *r->lanes);
    if (!r->lanes)
        return weft_fail(WEFT_ENOMEM, "clock: no memory for rank %d", rank);
    for (size_t i = 0; i < lanes && i < c->job->lanes; i++) {
        r->lanes[i].here = weft_calloc(a > b ? a : b, 1);
        if (!r->lanes[i].here)
            return weft_fail(WEFT_ENOMEM, "clock: no memory for rank %d", rank);
    }
    return WEFT_OK;
}

static int prepare(weft_clock *c)
{
    int rc;

    c->ranks = weft_calloc((size_t)c->job->size, sizeof *c->ranks);
    if (!c->ranks)
        return weft_fail(WEFT_ENOMEM, "clock: no memory for %d ranks", c->job->size);
    for (int rank = 0; rank < c->job->size; rank++)
        if ((rc = open_rank(c, rank)))
            return rc;
    if ((rc = weft_clock_wires_open(c)))
        return rc;
    c->unfinished = c->job->size;
    for (int rank = 0; rank < c->job->size; rank++) {
        c->ranks[rank].at_work = WEFT_CLOCK_STARTING;
        weft_clock_heap_set(&c->heap, rank, 0);
    }
    for (size_t i = 0; i < c->net->peer_count; i++)
        weft_clock_heap_set(&c->heap, c->net->peers[i].rank, c->net->peers[i].late_s);
    return WEFT_OK;
}

static void happen(weft_clock *c, int thing)
{
    const int ranks = c->job->size, conns = c->conn_count;

    c->events++;
    if (thing < ranks)
        weft_clock_rank_turn(c, thing);
    else if (thing < ranks + conns)
        weft_clock_through(c, thing - ranks);
    else if (thing < ranks + 2 * conns)
        weft_clock_arrived(c, thing - ranks - conns);
    else
        weft_clock_share_dry(&c->share, c->now, thing - ranks - 2 * conns);
}

static void loop(weft_clock *c)
{
    int thing;
    double at;

    while (!c->failed && weft_clock_heap_pop(&c->heap, &thing, &at)) {
        const double first = at;
        for (;;) {
            c->now = at > c->now ? at : c->now;
            happen(c, thing);
            if (c->heap.count == 0 || c->heap.at[c->heap.things[0]] > first + together)
                break;
            weft_clock_heap_pop(&c->heap, &thing, &at);
        }
        weft_clock_share_settle(&c->share, c->now);
    }
}

/* Nothing happens any more, and a rank is not at its end. */
static int name_waiting(const weft_clock *c)
{
    for (int rank = 0; rank < c->job->size; rank++) {
        const weft_clock_rank *r = &c->ranks[rank];
        for (int i = 0; !r->finished && i < c->net->lanes; i++) {
            const weft_clock_lane *lane = &r->lanes[i];
            for (uint32_t k = 0; lane->busy && k < lane->tape->recv_count; k++) {
                const weft_tape_op *op = &lane->tape->ops[lane->tape->recv_ops[k]];
                if (lane->tape->recv_ops[k] < lane->pc && !lane->here[k])
                    return weft_fail_rank(
                        WEFT_EINTERNAL, rank,
                        "deadlock: rank %d of %d waits in lane %llu for a message of rank %d", rank,
                        c->job->size, (unsigned long long)lane->index,
                        lane->tape->peers[op->peer].rank);
            }
        }
    }
    return weft_fail(WEFT_EINTERNAL, "clock: %d of %d ranks are not at their end", c->unfinished,
                     c->job->size);
}

static int conclude(const weft_clock *c, double *finish, weft_simulated *ret)
{
    weft_simulated s = *ret;
    uint64_t received = 0, sent = 0, most = 0;

    s.seconds = 0;
    s.first_s = c->ranks[0].finish;
    s.messages = 0;
    for (int rank = 0; rank < c->job->size; rank++) {
        const weft_clock_rank *r = &c->ranks[rank];
        sent += r->sent;
        received += r->received;
        most = r->sent > most ? r->sent : most;
        s.messages += r->messages;
        s.seconds = r->finish > s.seconds ? r->finish : s.seconds;
        s.first_s = r->finish < s.first_s ? r->finish : s.first_s;
        if (finish)
            finish[rank] = r->finish;
    }
    if (sent != received)
        return weft_fail(WEFT_EINTERNAL, "clock: %" PRIu64 " bytes were sent, %" PRIu64 " received",
                         sent, received);
    s.lanes = c->job->lanes;
    s.body_bytes = sent;
    s.body_most = most;
    s.wire_bytes = c->wire;
    s.events = c->events;
    weft_clock_busiest(c, s.seconds, &s);
    *ret = s;
    return WEFT_OK;
}

static void clean(weft_clock *c)
{
    for (int rank = 0; c->ranks && rank < c->job->size; rank++) {
        weft_clock_rank *r = &c->ranks[rank];
        weft_tape_free(&r->tapes[0]);
        weft_tape_free(&r->tapes[1]);
        for (int i = 0; r->lanes && i < c->net->lanes; i++)
            weft_free(r->lanes[i].here);
        weft_free(r->lanes);
    }
    weft_free(c->ranks);
    weft_clock_wires_close(c);
}

int weft_plan_clock(const weft_clock_job *job, const weft_network *network, double *finish,
                    weft_simulated *ret)
{
    weft_clock c = {.job = job,
                    .net = network,
                    .spare = -1,
                    .rates = {.pack_s = network->pack_s,
                              .merge_s = network->merge_s,
                              .unpack_s = network->unpack_s,
                              .element_bytes = (double)job->element_bytes}};
    int rc = prepare(&c);

    if (!rc) {
        loop(&c);
        rc = c.failed ? c.failed : c.unfinished > 0 ? name_waiting(&c) : WEFT_OK;
    }
    if (!rc)
        rc = conclude(&c, finish, ret);
    clean(&c);
    return rc;
}
