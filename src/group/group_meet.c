/* SPDX-License-Identifier: Apache-2.0 */
/* From options to a bound link and a roster: what to bind, what to publish, whom to dial how. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "group/group.h"
#include "link/hub.h"
#include "wire/frame.h"

enum { LINGER_MS = 500, DEAD_PRIVATE_MS = 1000, DEAD_PUBLIC_MS = 10000, CONNECT_MS = 2000 };

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int allocate(weft_group *g)
{
    const size_t size = (size_t)g->size;
    g->where = weft_calloc(size, sizeof(*g->where));
    g->dial = weft_calloc(size, sizeof(*g->dial));
    g->sum = weft_calloc(size, sizeof(*g->sum));
    g->host = weft_calloc(size, sizeof(*g->host));
    if (g->where == NULL || g->dial == NULL || g->sum == NULL || g->host == NULL) {
        return weft_fail(WEFT_ENOMEM, "out of memory for the list of peers");
    }
    for (int r = 0; r < g->size; r++) {
        g->dial[r] = g->where[r];
    }
    return WEFT_OK;
}

static bool same_host(const weft_group *g, int a, int b)
{
    const weft_entry *e = g->roster.entries;
    return e == NULL || memcmp(e[a].host, e[b].host, sizeof(e[a].host)) == 0;
}

static void number_hosts(weft_group *g)
{
    int hosts = 0;
    for (int r = 0; r < g->size; r++) {
        int first = 0;
        while (!same_host(g, first, r)) {
            first++;
        }
        g->host[r] = first < r ? g->host[first] : hosts++;
    }
}

static void choose_sums(weft_group *g, const weft_settings *s)
{
    for (int r = 0; r < g->size; r++) {
        const bool far = g->host[r] != g->host[g->rank];
        g->sum[r] = strcmp(s->checksum, "on") == 0 || (strcmp(s->checksum, "auto") == 0 && far);
    }
}

static weft_link_opts link_opts(const weft_group *g, const weft_settings *s)
{
    return (weft_link_opts){.log = g->log,
                            .frame_max = WEFT_FRAME_HEADER + (size_t)WEFT_FRAME_BODY_MAX,
                            .connect_timeout_ms = CONNECT_MS,
                            .linger_ms = LINGER_MS,
                            .dead_ms = s->opts.dead_ms > 0 ? s->opts.dead_ms : DEAD_PUBLIC_MS};
}

static int meet_at_hub(weft_group *g, const weft_settings *s, int64_t deadline, weft_link **ret)
{
    const weft_link_type *type = weft_link_type_for("mem");
    const int peers = weft_hub_peers(s->opts.hub);
    weft_link_opts lo = link_opts(g, s);
    int seat = -1;
    if (s->opts.peers != 0 && s->opts.peers != peers) {
        return weft_fail(WEFT_EINVAL, "weft_group_open: %d peers on a hub for %d", s->opts.peers,
                         peers);
    }
    int rc = weft_hub_seat(s->opts.hub, s->opts.rank, deadline, &seat);
    if (rc != WEFT_OK) {
        return rc;
    }
    g->rank = seat;
    g->size = peers;
    lo.hub = s->opts.hub;
    lo.hub_seat = seat;
    rc = allocate(g);
    if (rc == WEFT_OK) {
        rc = type->open(ret, &lo);
    }
    if (rc != WEFT_OK) {
        weft_hub_leave(s->opts.hub, seat);
        return rc;
    }
    for (int r = 0; r < g->size; r++) {
        snprintf(g->where[r], sizeof(g->where[r]), "mem:%d", r);
    }
    return WEFT_OK;
}

static int bind_link(const weft_group *g, const weft_settings *s, const weft_meeting *m,
                     weft_link **ret)
{
    const weft_link_type *type = weft_link_type_for("tcp");
    weft_link_opts lo = link_opts(g, s);
    char tcp[WEFT_ENDPOINT_TEXT];
    int n = 0;
    if (strcmp(s->link, "ipc") != 0) {
        const char *listen = s->opts.listen != NULL ? s->opts.listen : env("WEFT_LISTEN");
        if (listen == NULL) {
            char address[64];
            const int rc = weft_address_choose(m, env("WEFT_SOCKET_IFNAME"), address);
            if (rc != WEFT_OK) {
                return rc;
            }
            snprintf(tcp, sizeof(tcp), "tcp://%s:*", address);
            listen = tcp;
        }
        lo.listen[n++] = listen;
    }
    if (strcmp(s->link, "tcp") != 0) {
        lo.listen[n++] = "ipc://*";
    }
    return type->open(ret, &lo);
}

/* A wildcard is no place to come to: publish an address that leads here, with the bound port. */
static int published(const weft_settings *s, const weft_meeting *m, const char *bound,
                     char out[WEFT_ENDPOINT_TEXT])
{
    const char *advertise = s->opts.advertise != NULL ? s->opts.advertise : env("WEFT_ADVERTISE");
    const char *port = strrchr(bound, ':');
    int written;
    if (advertise != NULL) {
        if (strncmp(advertise, "tcp://", 6) != 0 || strrchr(advertise + 6, ':') == NULL) {
            return weft_fail(WEFT_EINVAL,
                             "advertise (or WEFT_ADVERTISE) is \"%s\": it must be "
                             "tcp://ADDRESS:PORT",
                             advertise);
        }
        const char *any = strrchr(advertise, ':');
        written = strcmp(any, ":*") == 0 ? snprintf(out, WEFT_ENDPOINT_TEXT, "%.*s%s",
                                                    (int)(any - advertise), advertise, port)
                                         : snprintf(out, WEFT_ENDPOINT_TEXT, "%s", advertise);
    } else if (strncmp(bound, "tcp://0.0.0.0:", 14) == 0 ||
               strncmp(bound, "tcp://[::]:", 11) == 0 || strncmp(bound, "tcp://*:", 8) == 0) {
        char address[64];
        const int rc = weft_address_choose(m, env("WEFT_SOCKET_IFNAME"), address);
        if (rc != WEFT_OK) {
            return rc;
        }
        written = snprintf(out, WEFT_ENDPOINT_TEXT, "tcp://%s%s", address, port);
    } else {
        written = snprintf(out, WEFT_ENDPOINT_TEXT, "%s", bound);
    }
    if (written < 0 || written >= WEFT_ENDPOINT_TEXT) {
        return weft_fail(WEFT_EINVAL, "the endpoint %s is too long", bound);
    }
    return WEFT_OK;
}

static int describe_self(const weft_settings *s, const weft_meeting *m, const weft_link *link,
                         weft_entry *ret)
{
    weft_entry self = {.rank = m->rank};
    int rc = weft_random_bytes(self.uuid, sizeof(self.uuid));
    if (rc == WEFT_OK) {
        rc = weft_host_id(self.host);
    }
    for (int i = 0; rc == WEFT_OK && link->type->endpoint(link, i) != NULL; i++) {
        const char *bound = link->type->endpoint(link, i);
        if (strncmp(bound, "tcp:", 4) == 0) {
            rc = published(s, m, bound, self.endpoint[0]);
        } else {
            snprintf(self.endpoint[1], sizeof(self.endpoint[1]), "%s", bound);
        }
    }
    if (rc == WEFT_OK) {
        *ret = self;
    }
    return rc;
}

/* ipc where both ends are on one host and offer it, else tcp. */
static int choose_endpoints(weft_group *g)
{
    const weft_entry *me = &g->roster.entries[g->rank];
    for (int r = 0; r < g->size; r++) {
        const weft_entry *they = &g->roster.entries[r];
        const bool near = memcmp(me->host, they->host, sizeof(me->host)) == 0;
        const bool ipc = near && me->endpoint[1][0] != '\0' && they->endpoint[1][0] != '\0';
        const bool tcp = me->endpoint[0][0] != '\0' && they->endpoint[0][0] != '\0';
        if (!ipc && !tcp) {
            return weft_fail_rank(WEFT_EINVAL, r,
                                  "no link leads to rank %d: this peer offers %s%s, it offers %s%s "
                                  "(ipc needs one host)",
                                  r, me->endpoint[0], me->endpoint[1], they->endpoint[0],
                                  they->endpoint[1]);
        }
        snprintf(g->where[r], sizeof(g->where[r]), "%s", they->endpoint[ipc ? 1 : 0]);
    }
    return WEFT_OK;
}

static int meet_outside(weft_group *g, const weft_settings *s, weft_meeting *m, weft_link **ret)
{
    weft_link *link = NULL;
    weft_entry self;
    int rc = bind_link(g, s, m, &link);
    if (rc != WEFT_OK) {
        return rc;
    }
    rc = describe_self(s, m, link, &self);
    if (rc == WEFT_OK) {
        rc = weft_roster_meet(&g->roster, m, &self, link);
    }
    if (rc == WEFT_OK) {
        g->rank = g->roster.rank;
        g->size = g->roster.size;
        rc = allocate(g);
    }
    if (rc == WEFT_OK) {
        rc = choose_endpoints(g);
    }
    if (rc != WEFT_OK) {
        link->type->close(&link);
        return rc;
    }
    *ret = link;
    return WEFT_OK;
}

/* A peer on a public address may be far away: be patient. From the roster alone, so that all peers
 * come to the same. */
static int64_t patience(const weft_group *g, const weft_settings *s)
{
    if (s->opts.dead_ms > 0) {
        return s->opts.dead_ms;
    }
    for (int r = 0; g->roster.entries != NULL && r < g->size; r++) {
        const char *tcp = g->roster.entries[r].endpoint[0];
        if (tcp[0] != '\0' && !weft_address_private(tcp)) {
            return DEAD_PUBLIC_MS;
        }
    }
    return DEAD_PRIVATE_MS;
}

int weft_group_meet(weft_group *g, const weft_settings *s, weft_link **ret_link, uint64_t *ret_tag,
                    int64_t *ret_dead_ms)
{
    const int64_t deadline = weft_deadline(weft_now(), s->opts.open_timeout_ms);
    weft_link *link = NULL;
    int rc;
    if (s->opts.hub != NULL) {
        rc = meet_at_hub(g, s, deadline, &link);
    } else {
        weft_meeting m;
        rc = weft_launch_read(&s->opts, NULL, NULL, &m);
        if (rc == WEFT_OK) {
            m.deadline_ns = deadline;
            m.log = &g->log;
            rc = meet_outside(g, s, &m, &link);
        }
    }
    if (rc != WEFT_OK) {
        return rc;
    }
    number_hosts(g);
    choose_sums(g, s);
    *ret_link = link;
    *ret_tag = g->roster.hash;
    *ret_dead_ms = patience(g, s);
    return WEFT_OK;
}
