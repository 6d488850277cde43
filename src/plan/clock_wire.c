/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections and the links below them, messages on their way.
 *
 * Ports: of each rank up, down, and up and down within its host; of each host up and down; then one
 * for each edge with a rate of its own. Those without a limit are left out of a stream's way.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/status.h"
#include "plan/clock_state.h"

enum { UP, DOWN, LOCAL_UP, LOCAL_DOWN, RANK_PORTS };
enum { TRUNK_UP, TRUNK_DOWN, HOST_PORTS };

static int rank_port(int rank, int which)
{
    return rank * RANK_PORTS + which;
}

static int host_port(const weft_clock *c, int host, int which)
{
    return c->job->size * RANK_PORTS + host * HOST_PORTS + which;
}

static int edge_port(const weft_clock *c, size_t edge)
{
    return host_port(c, c->job->host ? c->job->hosts : 0, 0) + (int)edge;
}

static int host_of(const weft_clock *c, int rank)
{
    return c->job->host ? c->job->host[rank] : 0;
}

/* Two ports that are the directions of one link. */
static void open_link(weft_clock *c, int up, double rate, bool shaped)
{
    const weft_network *n = c->net;
    weft_port p = {.rate = rate > 0 ? rate : (double)INFINITY, .back = up + 1, .first = -1};

    if (isfinite(p.rate) && shaped) {
        p.ack = n->ack_share;
        p.burst = n->burst;
        p.peak = n->peak > rate ? n->peak : rate;
        p.bucket = p.burst;
    }
    c->share.ports[up] = p;
    p.back = up;
    p.incast = shaped ? n->incast : 0;
    c->share.ports[up + 1] = p;
}

static void open_ports(weft_clock *c)
{
    const weft_network *n = c->net;

    for (int r = 0; r < c->job->size; r++) {
        open_link(c, rank_port(r, UP), n->rate, true);
        open_link(c, rank_port(r, LOCAL_UP), n->local_rate, false);
    }
    for (int h = 0; c->job->host && h < c->job->hosts; h++)
        open_link(c, host_port(c, h, TRUNK_UP), n->trunk_rate, true);
    for (size_t i = 0; i < n->peer_count; i++)
        if (n->peers[i].rate > 0)
            open_link(c, rank_port(n->peers[i].rank, UP), n->peers[i].rate, true);
    for (size_t i = 0; i < n->edge_count; i++)
        if (n->edges[i].rate > 0)
            c->share.ports[edge_port(c, i)] =
                (weft_port){.rate = n->edges[i].rate, .back = -1, .first = -1};
}

static int by_pair(const void *a, const void *b)
{
    const weft_edge_link *x = *(const weft_edge_link *const *)a,
                         *y = *(const weft_edge_link *const *)b;
    return x->from != y->from ? (x->from > y->from) - (x->from < y->from)
                              : (x->to > y->to) - (x->to < y->to);
}

static void pass(const weft_clock *c, weft_stream *t, int port)
{
    if (isfinite(c->share.ports[port].rate))
        t->port[t->ports++] = port;
}

/* The ports on a connection's way, and its latency. */
static void route(weft_clock *c, int conn, const weft_edge_link *edge)
{
    const weft_network *n = c->net;
    weft_clock_conn *k = &c->conns[conn];
    weft_stream *t = &c->share.streams[conn];
    const int from = host_of(c, k->from), to = host_of(c, k->to);

    if (c->job->host && from == to) {
        pass(c, t, rank_port(k->from, LOCAL_UP));
        pass(c, t, rank_port(k->to, LOCAL_DOWN));
        k->latency = n->local_latency_s;
    } else {
        pass(c, t, rank_port(k->from, UP));
        pass(c, t, rank_port(k->to, DOWN));
        if (c->job->host) {
            pass(c, t, host_port(c, from, TRUNK_UP));
            pass(c, t, host_port(c, to, TRUNK_DOWN));
        }
        k->latency = n->latency_s;
    }
    if (edge) {
        pass(c, t, edge_port(c, (size_t)(edge - n->edges)));
        k->latency = edge->latency_s >= 0 ? edge->latency_s : k->latency;
    }
    k->latency += n->handoff_s;
}

static int open_routes(weft_clock *c)
{
    const size_t count = c->net->edge_count;
    const weft_edge_link **sorted = weft_calloc(count, sizeof *sorted);
    int rc = WEFT_OK;

    if (!sorted)
        return weft_fail(WEFT_ENOMEM, "clock: no memory for %zu edges", count);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &c->net->edges[i];
    qsort(sorted, count, sizeof *sorted, by_pair);
    for (size_t i = 1; !rc && i < count; i++)
        if (by_pair(&sorted[i - 1], &sorted[i]) == 0)
            rc = weft_fail(WEFT_EINVAL, "network: the edge from rank %d to %d is there twice",
                           sorted[i]->from, sorted[i]->to);
    for (int i = 0; !rc && i < c->conn_count; i++) {
        const weft_edge_link key = {.from = c->conns[i].from, .to = c->conns[i].to};
        const weft_edge_link *const at = &key;
        const weft_edge_link *const *found =
            count > 0 ? bsearch(&at, sorted, count, sizeof *sorted, by_pair) : NULL;
        route(c, i, found ? *found : NULL);
    }
    weft_free(sorted);
    return rc;
}

/* Both tapes of a rank say of a neighbour what the neighbour's say of the rank. */
static int match(const weft_clock *c, int rank, int peer, int which)
{
    const weft_tape *mine = &c->ranks[rank].tapes[which], *theirs = &c->ranks[peer].tapes[which];
    const int k = weft_tape_find(mine, peer), back = weft_tape_find(theirs, rank);

    if (k < 0 || back < 0)
        return weft_fail(WEFT_EINTERNAL,
                         "rank %d is no neighbour of rank %d, but is one of rank %d",
                         k < 0 ? peer : rank, k < 0 ? rank : peer, k < 0 ? peer : rank);
    if (mine->peers[k].sends != theirs->peers[back].recvs)
        return weft_fail(WEFT_EINTERNAL, "rank %d sends rank %d %u messages, which receives %u",
                         rank, peer, (unsigned)mine->peers[k].sends,
                         (unsigned)theirs->peers[back].recvs);
    return WEFT_OK;
}

static int open_conns(weft_clock *c)
{
    for (int r = 0; r < c->job->size; r++) {
        const weft_clock_rank *rank = &c->ranks[r];
        for (int k = 0; k < rank->conns; k++) {
            const int to = rank->tapes[0].peers[k].rank;
            int rc = match(c, r, to, 0);
            if (!rc && c->job->rest)
                rc = match(c, r, to, 1);
            if (rc)
                return rc;
            c->conns[rank->first_conn + k] = (weft_clock_conn){
                .from = r,
                .to = to,
                .back = c->ranks[to].first_conn + weft_tape_find(&c->ranks[to].tapes[0], r),
                .queue = {-1, -1},
                .flying = {-1, -1},
                .blocked = {-1, -1},
                .feeds = rank->tapes[0].peers[k].recvs > 0,
                .prompt = rank->tapes[0].peers[k].prompt};
        }
    }
    return WEFT_OK;
}

int weft_clock_wires_open(weft_clock *c)
{
    const size_t edges = c->net->edge_count;
    const double ports = (double)c->job->size * RANK_PORTS +
                         (c->job->host ? (double)c->job->hosts * HOST_PORTS : 0) + (double)edges;
    double conns = 0;
    int rc;

    for (int r = 0; r < c->job->size; r++) {
        c->ranks[r].first_conn = (int)conns;
        conns += c->ranks[r].conns;
        if ((double)c->job->size + 2 * conns + ports > (double)(INT32_MAX / WEFT_PORTS_MOST))
            return weft_fail(WEFT_ENOTSUP, "clock: too many pairs of %d ranks talk", c->job->size);
    }
    const int size = c->job->size, n = (int)conns;
    c->conn_count = n;
    c->conns = weft_calloc((size_t)n, sizeof *c->conns);
    if (!c->conns)
        return weft_fail(WEFT_ENOMEM, "clock: no memory for %d pairs of ranks", n);
    if ((rc = open_conns(c)) || (rc = weft_clock_heap_open(&c->heap, size + 2 * n + (int)ports)) ||
        (rc = weft_clock_share_open(&c->share, &c->heap, (int)ports, n, size, size + 2 * n)))
        return rc;
    open_ports(c);
    return open_routes(c);
}

void weft_clock_wires_close(weft_clock *c)
{
    weft_clock_share_close(&c->share);
    weft_clock_heap_close(&c->heap);
    weft_free(c->conns);
    weft_free(c->messages);
}

void weft_clock_push(weft_clock *c, weft_clock_list *list, int message)
{
    c->messages[message].next = -1;
    if (list->first < 0)
        list->first = message;
    else
        c->messages[list->last].next = message;
    list->last = message;
}

int weft_clock_pull(weft_clock *c, weft_clock_list *list)
{
    const int message = list->first;

    if (message >= 0)
        list->first = c->messages[message].next;
    return message;
}

void weft_clock_forget(weft_clock *c, int message)
{
    c->messages[message].next = c->spare;
    c->spare = message;
}

/* A free one, or -1: no memory, `failed` says so. */
static int new_message(weft_clock *c)
{
    void *all = c->messages;

    if (c->spare >= 0) {
        const int message = c->spare;
        c->spare = c->messages[message].next;
        return message;
    }
    if (c->message_count == INT32_MAX ||
        !weft_grow(&all, &c->message_cap, (size_t)c->message_count + 1, sizeof *c->messages)) {
        c->failed = weft_fail(WEFT_ENOMEM, "clock: no memory for %d messages", c->message_count);
        return -1;
    }
    c->messages = all;
    return c->message_count++;
}

/* What travels for so many bytes of body. */
static double on_the_wire(const weft_network *n, double body)
{
    const double frames = body > WEFT_CLOCK_FRAME ? ceil(body / WEFT_CLOCK_FRAME) : 1;
    const double stream = body + frames * n->frame_bytes;
    return n->segment_bytes > 0 ? stream + ceil(stream / n->segment_bytes) * n->segment_overhead
                                : stream;
}

/* Hand it to the link. */
static void emit(weft_clock *c, int message)
{
    weft_clock_message *m = &c->messages[message];
    weft_clock_conn *k = &c->conns[m->conn];
    weft_clock_rank *r = &c->ranks[k->from];
    const bool first = k->queue.first < 0;

    m->grant = k->told = weft_clock_grant_of(c, r);
    m->sent = c->now;
    m->wire = on_the_wire(c->net, m->bytes);
    c->wire += m->wire;
    if (m->data) {
        k->ungranted += m->bytes;
        r->sent += (uint64_t)m->bytes;
        r->messages++;
    }
    weft_clock_push(c, &k->queue, message);
    if (first)
        weft_clock_share_start(&c->share, c->now, m->conn, m->wire);
}

static bool may_send(const weft_clock_conn *k, uint64_t lane, double bytes)
{
    if (lane < k->granted)
        return true;
    return k->granted == 0 && lane == 0 && k->ungranted + bytes <= WEFT_CLOCK_EARLY;
}

void weft_clock_data(weft_clock *c, int conn, weft_clock_lane *lane, uint32_t index, double bytes)
{
    weft_clock_conn *k = &c->conns[conn];
    const int message = new_message(c);

    if (message < 0)
        return;
    c->messages[message] = (weft_clock_message){
        .conn = conn, .index = index, .data = true, .lane = lane->index, .bytes = bytes};
    if (may_send(k, lane->index, bytes) && k->blocked.first < 0) {
        emit(c, message);
        return;
    }
    lane->pending++;
    weft_clock_push(c, &k->blocked, message);
    weft_clock_flush(c, conn);
    /* It counts on data to hear the grant, and its own may wait for that. */
    if (k->blocked.first >= 0 && k->feeds && k->told == 0)
        weft_clock_grant(c, conn);
}

void weft_clock_flush(weft_clock *c, int conn)
{
    weft_clock_conn *k = &c->conns[conn];
    weft_clock_rank *r = &c->ranks[k->from];
    weft_clock_list keep = {-1, -1};
    bool first_lane_stopped = false; /* messages of one lane keep their order */

    for (int message; (message = weft_clock_pull(c, &k->blocked)) >= 0;) {
        const weft_clock_message *m = &c->messages[message];
        if ((m->lane == 0 && first_lane_stopped) || !may_send(k, m->lane, m->bytes)) {
            first_lane_stopped = first_lane_stopped || m->lane == 0;
            weft_clock_push(c, &keep, message);
            continue;
        }
        weft_clock_lane *lane = &r->lanes[m->lane % (uint64_t)c->net->lanes];
        lane->pending--;
        emit(c, message);
        weft_clock_resume(r, lane);
    }
    k->blocked = keep;
}

void weft_clock_grant(weft_clock *c, int conn)
{
    const int message = new_message(c);

    if (message < 0)
        return;
    c->messages[message] = (weft_clock_message){.conn = conn};
    c->ranks[c->conns[conn].from].debt += c->net->send_s;
    emit(c, message);
}

/* Each switch takes a packet whole before it passes it on; the slowest one's time is in the stream
 * already. */
static double switching(const weft_clock *c, int conn, double wire)
{
    const weft_stream *t = &c->share.streams[conn];
    const double packet = wire < c->net->switch_bytes ? wire : c->net->switch_bytes;
    double sum = 0, longest = 0;

    for (int i = 0; packet > 0 && i < t->ports; i++) {
        const weft_port *p = &c->share.ports[t->port[i]];
        if (p->back < 0 || weft_clock_share_bursts(&c->share, c->now, t->port[i]))
            continue;
        sum += packet / p->rate;
        longest = packet / p->rate > longest ? packet / p->rate : longest;
    }
    return sum - longest;
}

void weft_clock_through(weft_clock *c, int conn)
{
    weft_clock_conn *k = &c->conns[conn];
    const int message = weft_clock_pull(c, &k->queue);
    weft_clock_message *m = &c->messages[message];
    const bool alone = k->flying.first < 0;

    m->arrives = c->now + k->latency + switching(c, conn, m->wire);
    m->arrives = m->arrives > k->arrived ? m->arrives : k->arrived;
    k->arrived = m->arrives;
    weft_clock_push(c, &k->flying, message);
    if (alone)
        weft_clock_heap_set(&c->heap, c->job->size + c->conn_count + conn, m->arrives);
    if (k->queue.first >= 0)
        weft_clock_share_next(&c->share, c->now, conn, c->messages[k->queue.first].wire);
    else
        weft_clock_share_stop(&c->share, c->now, conn);
}

void weft_clock_arrived(weft_clock *c, int conn)
{
    weft_clock_conn *k = &c->conns[conn];
    const int message = weft_clock_pull(c, &k->flying);
    const weft_clock_message *m = &c->messages[message];

    if (k->flying.first >= 0)
        weft_clock_heap_set(&c->heap, c->job->size + c->conn_count + conn,
                            c->messages[k->flying.first].arrives);
    if (m->data && c->job->watch) {
        const weft_passage p = {.from = k->from,
                                .to = k->to,
                                .lane = m->lane,
                                .message = m->index,
                                .sent_s = m->sent,
                                .arrived_s = c->now,
                                .bytes = (uint64_t)m->bytes};
        c->job->watch(c->job->watcher, &p);
    }
    weft_clock_take(c, k->to, message);
}

static void name_port(const weft_clock *c, int port, char *text, size_t cap)
{
    static const char *const ways[RANK_PORTS] = {"up", "down", "up within the host",
                                                 "down within the host"};
    const int hosts = host_port(c, 0, 0), edges = edge_port(c, 0);

    if (port < hosts)
        snprintf(text, cap, "%s of rank %d", ways[port % RANK_PORTS], port / RANK_PORTS);
    else if (port < edges)
        snprintf(text, cap, "%s of host %d", ways[(port - hosts) % HOST_PORTS],
                 (port - hosts) / HOST_PORTS);
    else
        snprintf(text, cap, "edge from rank %d to %d", c->net->edges[port - edges].from,
                 c->net->edges[port - edges].to);
}

void weft_clock_busiest(const weft_clock *c, double seconds, weft_simulated *ret)
{
    ret->busiest[0] = '\0';
    ret->busiest_share = 0;
    for (int i = 0; i < c->share.port_count && seconds > 0; i++) {
        const weft_port *p = &c->share.ports[i];
        const double used = isfinite(p->rate) ? p->moved / (p->rate * seconds) : 0;
        if (used > ret->busiest_share * (1 + 1e-9)) { /* of equals the first */
            ret->busiest_share = used;
            name_port(c, i, ret->busiest, sizeof ret->busiest);
        }
    }
}
