/* SPDX-License-Identifier: Apache-2.0 */
/* Send and receive: a transfer between the two ranks of a plan, 0 the sender's. */
#include "base/status.h"
#include "group/call.h"
#include "topology/topology.h"
#include <weft/p2p.h>

static int check_peer(const weft_group *g, const char *what, int peer)
{
    if (g == NULL) {
        return weft_fail(WEFT_EINVAL, "%s: no group", what);
    }
    if (peer < 0 || peer >= g->size) {
        return weft_fail(WEFT_EINVAL, "%s: there is no rank %d among %d peers", what, peer,
                         g->size);
    }
    if (peer == g->rank) {
        return weft_fail(WEFT_EINVAL, "%s: rank %d is this peer itself", what, peer);
    }
    if (g->topology != NULL &&
        weft_topology_edge(g->topology, g->rank, peer, NULL, NULL) != WEFT_OK) {
        return weft_fail_rank(WEFT_ENOTSUP, peer,
                              "%s: no edge of the topology %s leads from rank %d to rank %d", what,
                              weft_topology_spec(g->topology), g->rank, peer);
    }
    return WEFT_OK;
}

int weft_call_make_transfer(weft_group *g, weft_call *c, bool sends, int peer, uint32_t tag,
                            weft_request **ret)
{
    c->coll = WEFT_COLL_TRANSFER;
    c->serves = sends ? "send" : "recv";
    int rc = check_peer(g, c->serves, peer);
    if (rc != WEFT_OK) {
        return rc;
    }
    weft_group pair = {.rank = sends ? 0 : 1,
                       .size = 2,
                       .timeout_ms = g->timeout_ms,
                       .costs = g->costs,
                       .plans = g->plans,
                       .context = g->context};
    rc = weft_call_make(&pair, c, ret);
    if (rc == WEFT_OK) {
        (*ret)->transfer = true;
        (*ret)->from = sends ? g->rank : peer;
        (*ret)->to = sends ? peer : g->rank;
        (*ret)->label = tag;
    }
    return rc;
}

static int run(weft_group *g, weft_call *c, bool sends, int peer, uint32_t tag)
{
    weft_request *r = NULL;
    const int rc = weft_call_make_transfer(g, c, sends, peer, tag, &r);
    return rc == WEFT_OK ? weft_call_run(g->loop, r, NULL) : rc;
}

static int start(weft_group *g, weft_call *c, bool sends, int peer, uint32_t tag,
                 weft_request **ret)
{
    weft_request *r = NULL;
    if (ret == NULL) {
        return weft_fail(WEFT_EINVAL, "%s: nowhere to put the request", sends ? "send" : "recv");
    }
    const int rc = weft_call_make_transfer(g, c, sends, peer, tag, &r);
    return rc == WEFT_OK ? weft_call_start(g->loop, r, ret) : rc;
}

int weft_send(weft_group *group, const void *buffer, size_t count, weft_dtype dtype, int to,
              uint32_t tag, const weft_coll_opts *opts)
{
    weft_call c = {.in = buffer, .count = count, .dtype = dtype, .opts = opts};
    return run(group, &c, true, to, tag);
}

int weft_send_start(weft_group *group, const void *buffer, size_t count, weft_dtype dtype, int to,
                    uint32_t tag, const weft_coll_opts *opts, weft_request **ret)
{
    weft_call c = {.in = buffer, .count = count, .dtype = dtype, .opts = opts};
    return start(group, &c, true, to, tag, ret);
}

int weft_recv(weft_group *group, void *buffer, size_t count, weft_dtype dtype, int from,
              uint32_t tag, const weft_coll_opts *opts)
{
    weft_call c = {.out = buffer, .count = count, .dtype = dtype, .opts = opts};
    return run(group, &c, false, from, tag);
}

int weft_recv_start(weft_group *group, void *buffer, size_t count, weft_dtype dtype, int from,
                    uint32_t tag, const weft_coll_opts *opts, weft_request **ret)
{
    weft_call c = {.out = buffer, .count = count, .dtype = dtype, .opts = opts};
    return start(group, &c, false, from, tag, ret);
}
