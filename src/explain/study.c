/* SPDX-License-Identifier: Apache-2.0 */
#include "explain/study.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"

#define COUNT_MOST (UINT64_C(1) << 40)
enum { PEERS_MOST = 65535, STRUCT_MOST = 4096 };

static int take_query(const weft_query *query, weft_query *ret)
{
    weft_query q = {.size = sizeof q};

    if (query->size < sizeof query->size || query->size > STRUCT_MOST)
        return weft_fail(WEFT_EINVAL, "query: size is not set to sizeof(weft_query)");
    memcpy(&q, query, query->size < sizeof q ? query->size : sizeof q);
    q.size = sizeof q;
    *ret = q;
    return WEFT_OK;
}

static int find_coll(const char *name, weft_coll *ret)
{
    char names[240] = "";
    size_t len = 0;

    for (int coll = 0; coll < WEFT_COLL_COUNT; coll++) {
        const char *own = weft_coll_name((weft_coll)coll);
        if (name && strcmp(name, own) == 0) {
            *ret = (weft_coll)coll;
            return WEFT_OK;
        }
        const int got = snprintf(names + len, sizeof names - len, "%s%s", len ? ", " : "", own);
        len += got > 0 && len + (size_t)got < sizeof names ? (size_t)got : 0;
    }
    return weft_fail(WEFT_EINVAL, "query: no collective \"%.40s\"; there are %s", name ? name : "",
                     names);
}

static int check_numbers(const weft_study *s)
{
    const weft_query *q = &s->query;

    if (q->peers < 1 || q->peers > PEERS_MOST)
        return weft_fail(WEFT_EINVAL, "query: %d peers, 1 … %d can be", q->peers, PEERS_MOST);
    if (weft_dtype_bytes(q->dtype) == 0)
        return weft_fail(WEFT_EINVAL, "query: dtype %d is none", (int)q->dtype);
    if (q->count > COUNT_MOST || q->lane > COUNT_MOST || q->block > COUNT_MOST)
        return weft_fail(WEFT_EINVAL, "query: count, lane or block is above 2^40");
    if (weft_coll_rooted(s->coll) ? q->root < 0 || q->root >= q->peers : q->root != 0)
        return weft_fail(WEFT_EINVAL, "query: root %d of %s of %d peers", q->root,
                         weft_coll_name(s->coll), q->peers);
    if (q->topology && weft_topology_size(q->topology) != q->peers)
        return weft_fail(WEFT_EINVAL, "query: a topology of %d peers for %d",
                         weft_topology_size(q->topology), q->peers);
    if (q->ragged && (s->coll == WEFT_COLL_ALLREDUCE || s->coll == WEFT_COLL_BROADCAST ||
                      s->coll == WEFT_COLL_REDUCE || s->coll == WEFT_COLL_BARRIER ||
                      s->coll == WEFT_COLL_NEIGHBOR_AVERAGE || s->coll == WEFT_COLL_TRANSFER))
        return weft_fail(WEFT_EINVAL, "query: %s has no blocks of different lengths",
                         weft_coll_name(s->coll));
    return WEFT_OK;
}

static int take_hosts(weft_study *s)
{
    const weft_query *q = &s->query;

    s->host_count = 1;
    if (!q->hosts)
        return WEFT_OK;
    s->hosts = weft_calloc((size_t)q->peers, sizeof *s->hosts);
    if (!s->hosts)
        return weft_fail(WEFT_ENOMEM, "query: no memory for %d peers", q->peers);
    for (int r = 0; r < q->peers; r++) {
        if (q->hosts[r] < 0 || q->hosts[r] >= q->peers)
            return weft_fail(WEFT_EINVAL, "query: host %d of rank %d", q->hosts[r], r);
        s->hosts[r] = q->hosts[r];
        if (s->hosts[r] >= s->host_count)
            s->host_count = s->hosts[r] + 1;
    }
    s->query.hosts = s->hosts;
    return WEFT_OK;
}

static int take_order(weft_study *s)
{
    const weft_query *q = &s->query;
    const size_t peers = (size_t)q->peers;
    unsigned char *seen;

    if (!q->order)
        return WEFT_OK;
    s->order = weft_calloc(peers, sizeof *s->order);
    seen = weft_calloc(peers, 1);
    if (!s->order || !seen) {
        weft_free(seen);
        return weft_fail(WEFT_ENOMEM, "query: no memory for %d peers", q->peers);
    }
    for (size_t i = 0; i < peers; i++) {
        const int rank = q->order[i];
        if (rank < 0 || rank >= q->peers || seen[rank]++) {
            weft_free(seen);
            return weft_fail(WEFT_EINVAL, "query: order holds rank %d at place %zu: %s", rank, i,
                             rank < 0 || rank >= q->peers ? "there is none"
                                                          : "it is there already");
        }
        s->order[i] = rank;
    }
    weft_free(seen);
    s->query.order = s->order;
    return WEFT_OK;
}

static int take_codec(weft_study *s)
{
    const weft_query *q = &s->query;
    const weft_coding_ask ask = {.coll = s->coll,
                                 .algo = q->algo,
                                 .codec = q->codec,
                                 .reply = q->reply_codec,
                                 .fidelity = q->fidelity,
                                 .dtype = q->dtype,
                                 .op = WEFT_SUM,
                                 .residual = q->residual != 0,
                                 .own = q->own != 0,
                                 .owned = q->owned != 0};
    const int rc = weft_coding_open(&s->coding, &ask);

    if (rc)
        return weft_fail_context("%s", weft_coll_name(s->coll));
    s->block = q->block ? (size_t)q->block : s->coding.codec->type->block(s->coding.codec);
    return WEFT_OK;
}

/* Blocks whose lengths only the two ranks know between which they go: one lane, and nothing that
 * others do not know chooses. */
static bool lone_lane(const weft_study *s)
{
    return s->query.ragged && s->coll == WEFT_COLL_ALLTOALL;
}

static void make_choice(weft_study *s)
{
    const weft_query *q = &s->query;
    const size_t width = weft_dtype_bytes(q->dtype);
    const size_t count = lone_lane(s) ? 0 : (size_t)q->count;

    s->choice = (weft_choice){
        .coll = s->coll,
        .size = q->peers,
        .count = count,
        .element_bytes = width,
        .ragged = q->ragged != 0,
        .root = q->root,
        .host = s->hosts,
        .graph = q->topology,
        .costs = &s->costs,
        .files = s->files,
    };
    weft_coding_choice(&s->coding, count, &s->choice);
}

int weft_study_open(weft_study *ret, const weft_query *query)
{
    weft_study s = {.costs = weft_costs_host};
    int rc = take_query(query, &s.query);

    if (!rc)
        rc = find_coll(s.query.collective, &s.coll);
    if (!rc && s.coll == WEFT_COLL_BARRIER)
        s.query.count = 0;
    if (!rc)
        rc = check_numbers(&s);
    if (!rc)
        rc = take_hosts(&s);
    if (!rc)
        rc = weft_costs_parse(s.query.costs ? s.query.costs : "",
                              weft_costs_among(s.hosts, s.query.peers), &s.costs);
    if (!rc)
        rc = take_order(&s);
    if (!rc)
        rc = take_codec(&s);
    if (!rc)
        rc = weft_plan_files_open(&s.files);
    if (rc) {
        weft_study_close(&s);
        return rc;
    }
    s.query.algo = s.query.reply_codec = s.query.codec = s.query.costs = s.query.collective = NULL;
    *ret = s;
    make_choice(ret);
    return WEFT_OK;
}

void weft_study_close(weft_study *s)
{
    weft_pick_free(&s->pick);
    weft_plan_files_close(&s->files);
    weft_coding_close(&s->coding);
    weft_free(s->hosts);
    weft_free(s->order);
    *s = (weft_study){0};
}

void weft_study_lanes(const weft_study *s, const weft_pick *p, uint64_t *ret_lane,
                      uint64_t *ret_lanes)
{
    const weft_query *q = &s->query;
    uint64_t lane = q->lane ? q->lane : weft_lane_length(p, &s->choice, s->block);

    if (lone_lane(s))
        lane = q->count ? q->count : 1;
    *ret_lane = lane;
    *ret_lanes = q->count ? (q->count - 1) / lane + 1 : 1;
}

int weft_study_pick(weft_study *s, const char *spec)
{
    int rc = weft_algo_select(spec, &s->choice, &s->pick);

    if (rc || (rc = weft_coding_follow(&s->coding, &s->pick, s->query.peers, s->query.count, NULL)))
        return rc;
    weft_study_lanes(s, &s->pick, &s->lane, &s->lanes);
    if (s->lanes > UINT32_MAX)
        return weft_fail(WEFT_EINVAL, "query: more than 2^32 lanes");
    return WEFT_OK;
}

bool weft_study_has_rest(const weft_study *s)
{
    return s->lanes > 1 && !s->query.ragged && s->query.count % s->lane != 0;
}

weft_shape weft_study_shape(const weft_study *s, int rank, bool last)
{
    const uint64_t count = s->query.count;
    const uint64_t most = count < s->lane ? count : s->lane;
    const bool rest = last && weft_study_has_rest(s);
    const bool seated = s->pick.algo && s->pick.algo->traits & (WEFT_ALGO_RING | WEFT_ALGO_TREE);

    return (weft_shape){.coll = s->coll,
                        .rank = rank,
                        .size = s->query.peers,
                        .count = (size_t)(rest ? count - (s->lanes - 1) * s->lane : most),
                        .block = s->block,
                        .whole_blocks = (s->choice.traits & WEFT_CODEC_BLOCKS) != 0,
                        .levels = s->choice.levels,
                        .root = s->query.root,
                        .ragged = s->query.ragged != 0,
                        .spec = &s->pick.spec,
                        .host = s->hosts,
                        .order = seated ? s->order : NULL,
                        .graph = s->query.topology,
                        .file = s->pick.file};
}

int weft_study_build(void *user, int rank, bool last, weft_plan *ret)
{
    const weft_study *s = user;
    const weft_shape shape = weft_study_shape(s, rank, last);

    return weft_algo_build(s->pick.algo, &shape, ret);
}

size_t weft_study_bound(void *user, const weft_plan *p, const weft_step *step)
{
    const weft_study *s = user;
    const bool votes =
        s->pick.algo && (s->pick.algo->needs & WEFT_NEEDS_SIGNS); /* travel uncounted */
    const weft_codec *c = step->raw ? s->coding.reply : votes ? s->coding.base : s->coding.codec;
    weft_stretch part = {.lane_count = p->count, .off = step->span.off, .count = step->span.count};

    if (step->raw || s->coding.requantizes) /* blocks count from the span's beginning */
        part = (weft_stretch){.lane_count = step->span.count, .count = step->span.count};

    return c->type->bound(c, &part);
}
