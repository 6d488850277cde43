/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulation in virtual time: the network's figures, checked, and one run of the clock.
 *
 * Defaults. Work and waiting are those of peers that have cores of their own: 40 us until a message
 * is there, 20 us to send one (2 peers, 1 KiB: 60 us), 1 GB/s for a peer, 8 GB/s to combine;
 * encoding and decoding dense elements is copying, as fast. A TCP segment over Ethernet holds 1448
 * bytes in 1514; acknowledgements take 1 to 2 % of the other direction (docs/topologies.md).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "explain/study.h"
#include "plan/plan_clock.h"

enum { STRUCT_MOST = 4096 };

void weft_network_default(weft_network *ret)
{
    *ret = (weft_network){
        .size = sizeof *ret,
        .rate = 1e9,
        .latency_s = 0,
        .peak = 2e9,
        .local_rate = 1e9,
        .local_latency_s = 0,
        .segment_bytes = 1448,
        .segment_overhead = 66,
        .ack_share = 0.015,
        .incast = 0.01,
        .switch_bytes = 1514,
        .frame_bytes = 73, /* weft's header and ZeroMQ's */
        .send_s = 20e-6,
        .receive_s = 0,
        .handoff_s = 40e-6,
        .pack_s = 1.25e-10,
        .merge_s = 1.25e-10,
        .unpack_s = 1.25e-10,
        .lanes = 4,
    };
}

static int check(const char *what, double value, double max)
{
    if (value >= 0 && value <= max)
        return WEFT_OK;
    return weft_fail(WEFT_EINVAL, "network: %s is %g, 0 … %g can be", what, value, max);
}

static int check_figures(const weft_network *n)
{
    const double rate = 1e18, seconds = 1e6, bytes = 1e12, work = 1;
    const struct {
        const char *what;
        double value, max;
    } all[] = {
        {"rate", n->rate, rate},
        {"latency_s", n->latency_s, seconds},
        {"burst", n->burst, bytes},
        {"peak", n->peak, rate},
        {"local_rate", n->local_rate, rate},
        {"local_latency_s", n->local_latency_s, seconds},
        {"trunk_rate", n->trunk_rate, rate},
        {"segment_bytes", n->segment_bytes, bytes},
        {"segment_overhead", n->segment_overhead, bytes},
        {"ack_share", n->ack_share, 0.5},
        {"incast", n->incast, 100},
        {"switch_bytes", n->switch_bytes, bytes},
        {"frame_bytes", n->frame_bytes, bytes},
        {"send_s", n->send_s, seconds},
        {"receive_s", n->receive_s, seconds},
        {"handoff_s", n->handoff_s, seconds},
        {"pack_s", n->pack_s, work},
        {"merge_s", n->merge_s, work},
        {"unpack_s", n->unpack_s, work},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const int rc = check(all[i].what, all[i].value, all[i].max);
        if (rc)
            return rc;
    }
    if (n->lanes < 1 || n->lanes > WEFT_CLOCK_LANES)
        return weft_fail(WEFT_EINVAL, "network: %d lanes at work, 1 … %d can be", n->lanes,
                         WEFT_CLOCK_LANES);
    return WEFT_OK;
}

static int check_peers(const weft_network *n, int size)
{
    unsigned char *seen = weft_calloc((size_t)size, 1);
    int rc = seen ? WEFT_OK : weft_fail(WEFT_ENOMEM, "network: no memory for %d peers", size);

    for (size_t i = 0; !rc && i < n->peer_count; i++) {
        const weft_peer_link *p = &n->peers[i];
        if (p->rank < 0 || p->rank >= size)
            rc = weft_fail(WEFT_EINVAL, "network: rank %d of %d", p->rank, size);
        else if (seen[p->rank]++)
            rc = weft_fail(WEFT_EINVAL, "network: rank %d is there twice", p->rank);
        else if (!(rc = check("a peer's rate", p->rate, 1e18)))
            rc = check("a peer's late_s", p->late_s, 1e6);
    }
    weft_free(seen);
    return rc;
}

static int check_edges(const weft_network *n, int size)
{
    for (size_t i = 0; i < n->edge_count; i++) {
        const weft_edge_link *e = &n->edges[i];
        int rc;
        if (e->from < 0 || e->from >= size || e->to < 0 || e->to >= size || e->from == e->to)
            return weft_fail(WEFT_EINVAL, "network: an edge from rank %d to %d of %d", e->from,
                             e->to, size);
        if ((rc = check("an edge's rate", e->rate, 1e18)) ||
            (e->latency_s >= 0 && (rc = check("an edge's latency_s", e->latency_s, 1e6))))
            return rc;
        if (isnan(e->latency_s))
            return weft_fail(WEFT_EINVAL, "network: an edge's latency_s is no number");
    }
    return WEFT_OK;
}

static int take_network(const weft_network *network, int size, weft_network *ret)
{
    weft_network n;
    int rc;

    weft_network_default(&n);
    if (network->size < sizeof network->size || network->size > STRUCT_MOST)
        return weft_fail(WEFT_EINVAL, "network: size is not set to sizeof(weft_network)");
    memcpy(&n, network, network->size < sizeof n ? network->size : sizeof n);
    n.size = sizeof n;
    if ((rc = check_figures(&n)) || (rc = check_peers(&n, size)) || (rc = check_edges(&n, size)))
        return rc;
    *ret = n;
    return WEFT_OK;
}

static int simulate(weft_study *s, const weft_network *net,
                    void (*watch)(void *, const weft_passage *), void *user, double *finish,
                    weft_simulated *ret)
{
    const weft_clock_job job = {.size = s->query.peers,
                                .lanes = s->lanes,
                                .rest = weft_study_has_rest(s),
                                .element_bytes = s->choice.element_bytes,
                                .host = s->hosts,
                                .hosts = s->host_count,
                                .build = weft_study_build,
                                .bound = weft_study_bound,
                                .watch = watch,
                                .user = s,
                                .watcher = user};
    weft_simulated done = {.size = ret->size};
    const int rc = weft_plan_clock(&job, net, finish, &done);

    if (rc)
        return rc;
    snprintf(done.algo, sizeof done.algo, "%.*s", (int)sizeof done.algo - 1, s->pick.text);
    memcpy(ret, &done, ret->size < sizeof done ? ret->size : sizeof done);
    return WEFT_OK;
}

int weft_simulate(const weft_query *query, const weft_network *network,
                  void (*watch)(void *user, const weft_passage *passage), void *user,
                  double *finish, weft_simulated *ret)
{
    weft_network net;
    weft_study s;
    int rc = weft_study_open(&s, query);

    if (rc)
        return rc;
    rc = take_network(network, s.query.peers, &net);
    if (!rc)
        rc = weft_study_pick(&s, query->algo);
    if (!rc)
        rc = simulate(&s, &net, watch, user, finish, ret);
    weft_study_close(&s);
    return rc;
}
