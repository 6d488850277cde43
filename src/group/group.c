/* SPDX-License-Identifier: Apache-2.0 */
/* Open, close, and what can be asked of a group. */
#include "group/group.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"
#include "group/call.h"

#define SPIN_NS WEFT_MS

static void on_roster(void *user, weft_link *link, uint32_t conn, weft_message *m)
{
    weft_group *g = user;
    weft_seed_frame(g->roster.seed, link, conn, m);
}

void weft_group_free(weft_group *g)
{
    if (g == NULL) {
        return;
    }
    weft_roster_free(&g->roster);
    weft_plancache_close(&g->plans);
    weft_plan_files_close(&g->files);
    weft_free(g->where);
    weft_free(g->dial);
    weft_free(g->sum);
    weft_free(g->algo);
    weft_free(g->given_costs);
    weft_free(g->ranks);
    weft_request_discard(g->leave);
    weft_free(g->host);
    weft_topology_close(&g->topology);
    weft_orders_free(&g->orders);
    weft_free(g);
}

void weft_group_set_costs(weft_group *g)
{
    const weft_costs *rest = weft_costs_among(g->host, g->size);
    g->costs = *rest;
    (void)weft_costs_parse(g->given_costs, rest, &g->costs); /* checked when it was opened */
}

/* Peers that share this machine's cores, this one too. */
static int peers_here(const weft_group *g)
{
    const weft_entry *entries = g->roster.entries;
    int count = 0;
    for (int r = 0; r < g->size; r++) {
        count += entries == NULL ||
                 memcmp(entries[r].host, entries[g->rank].host, WEFT_MACHINE_BYTES) == 0;
    }
    return count;
}

/* With more peers than cores, those that look would be in the way of those that have work. */
static int64_t spin_of(const weft_group *g, const weft_settings *s)
{
    cpu_set_t cores;
    if (s->opts.spin_us != 0) {
        return s->opts.spin_us < 0 ? 0 : s->opts.spin_us * 1000;
    }
    if (sched_getaffinity(0, sizeof(cores), &cores) != 0 || CPU_COUNT(&cores) < peers_here(g)) {
        return 0;
    }
    return SPIN_NS;
}

static int start(weft_group *g, const weft_settings *s)
{
    weft_link *link = NULL;
    uint64_t tag = 0;
    int64_t dead_ms = 0;
    int rc = weft_group_meet(g, s, &link, &tag, &dead_ms);
    if (rc != WEFT_OK) {
        return rc;
    }
    rc = s->topology != NULL ? weft_topology_open(&g->topology, s->topology, g->size) : WEFT_OK;
    if (rc == WEFT_OK && s->order != NULL) {
        rc = weft_orders_make(&g->orders, s->order, g->size);
    }
    if (rc != WEFT_OK) {
        link->type->close(&link);
        return weft_fail_context("weft_group_open");
    }
    const weft_loop_opts opts = {
        .engine = {.rank = g->rank,
                   .size = g->size,
                   .group = tag,
                   .seed = g->seed,
                   .dead_ns = dead_ms * WEFT_MS,
                   .sum = g->sum,
                   .where = g->dial,
                   .log = g->log,
                   .pool = link->type->pool(link)},
        .link = link,
        .spin_ns = spin_of(g, s),
        .dial = g->dial,
        .roster = on_roster,
        .roster_user = g,
        .early = g->roster.early,
        .early_count = g->roster.early_count,
    };
    rc = weft_loop_open(&g->loop, &opts);
    if (rc != WEFT_OK) {
        link->type->close(&link);
        return rc;
    }
    g->roster.early_count = 0; /* the engine has them */
    weft_group_set_costs(g);
    g->tag = tag;
    return WEFT_OK;
}

int weft_group_open(weft_group **ret, const weft_group_opts *opts)
{
    if (ret == NULL) {
        return weft_fail(WEFT_EINVAL, "weft_group_open: nowhere to put the group");
    }
    weft_settings s;
    int rc = weft_settings_read(opts, &s);
    if (rc != WEFT_OK) {
        return rc;
    }
    weft_group *g = weft_calloc(1, sizeof(*g));
    if (g == NULL) {
        return weft_fail(WEFT_ENOMEM, "out of memory for a group");
    }
    g->seed = s.opts.seed;
    g->timeout_ms = s.opts.timeout_ms;
    g->log = (weft_log){.line = s.opts.log, .user = s.opts.log_user};
    g->opened = g;
    atomic_init(&g->handles, 1);
    g->leave = weft_request_new();
    g->algo = s.algo[0] != '\0' ? weft_strdup(s.algo) : NULL;
    g->given_costs = weft_strdup(s.costs);
    if (g->leave == NULL || g->given_costs == NULL || (s.algo[0] != '\0' && g->algo == NULL)) {
        rc = weft_fail(WEFT_ENOMEM, "out of memory for a group");
    }
    if (rc == WEFT_OK) {
        rc = weft_plancache_open(&g->plans);
    }
    if (rc == WEFT_OK) {
        rc = weft_plan_files_open(&g->files);
    }
    if (rc == WEFT_OK) {
        rc = start(g, &s);
    }
    if (rc != WEFT_OK) {
        weft_group_free(g);
        return rc;
    }
    *ret = g;
    return WEFT_OK;
}

/* The others go on: calls of this group end, its members are told. */
static void leave(weft_group *g)
{
    weft_request *r = g->leave;
    r->what = WEFT_REQUEST_LEAVE;
    r->context = g->context;
    g->leave = NULL;
    (void)weft_call_run(g->loop, r, NULL); /* in a forked child not taken */
}

void weft_group_close(weft_group **group)
{
    if (group == NULL || *group == NULL) {
        return;
    }
    weft_group *g = *group, *opened = g->opened;
    *group = NULL;
    if (atomic_load(&opened->handles) > 1) {
        leave(g);
    }
    const bool last = atomic_fetch_sub(&opened->handles, 1) == 1;
    if (last) {
        weft_loop_close(&opened->loop);
    }
    if (g != opened) {
        weft_group_free(g);
    }
    if (last) {
        weft_group_free(opened);
    }
}

int weft_group_rank(const weft_group *group)
{
    return group->rank;
}

int weft_group_size(const weft_group *group)
{
    return group->size;
}

uint64_t weft_group_seed(const weft_group *group)
{
    return group->seed;
}

const char *weft_group_endpoint(const weft_group *group, int rank)
{
    if (rank < 0 || rank >= group->size) {
        return NULL;
    }
    return group->opened->where[group->ranks != NULL ? group->ranks[rank] : rank];
}

const char *weft_group_rank_words(const weft_group *g, int rank, char *out, size_t cap)
{
    const int there = g->ranks != NULL ? g->ranks[rank] : rank;
    if (there == rank) {
        snprintf(out, cap, "rank %d", rank);
    } else {
        snprintf(out, cap, "rank %d (rank %d of the opened group)", rank, there);
    }
    return out;
}

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

int weft_group_get_stats(weft_group *group, weft_group_stats *ret)
{
    if (group == NULL || ret == NULL || ret->size < sizeof(ret->size)) {
        return weft_fail(WEFT_EINVAL, "weft_group_get_stats: set ret->size first");
    }
    const weft_counters *c = weft_loop_counters(group->loop);
    const weft_group_stats all = {.size = ret->size,
                                  .body_bytes_sent = load(&c->body_sent),
                                  .body_bytes_received = load(&c->body_received),
                                  .wire_bytes_sent = load(&c->wire_sent),
                                  .wire_bytes_received = load(&c->wire_received),
                                  .operations = load(&c->operations),
                                  .connections = load(&c->connections),
                                  .frames_dropped = load(&c->dropped)};
    memcpy(ret, &all, ret->size < sizeof(all) ? ret->size : sizeof(all));
    return WEFT_OK;
}
