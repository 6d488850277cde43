/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/spec.h"
#include "base/status.h"
#include "link/zmq_context.h"
#include "link/zmq_link.h"

enum {
    HANDSHAKE_MS = 3000, /* a silent or foreign connection is closed after that */
    BACKLOG = 128,
    RECONNECT_NEVER_MS = 1000000000,
    /* Keeps NAT entries alive; a dead peer is found by beats long before. */
    KEEPALIVE_IDLE_S = 30,
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_COUNT = 3,
    RANDOM_NAME = 16, /* bytes */
};

static int zmq_fail(const char *what, const char *endpoint)
{
    return weft_fail(WEFT_EIO, "%s %s: %s", what, endpoint, zmq_strerror(zmq_errno()));
}

int weft_zmq_check_endpoint(const char *what, const char *endpoint)
{
    const size_t len = strlen(endpoint);
    const bool tcp = strncmp(endpoint, "tcp://", 6) == 0;
    if (len >= WEFT_ZMQ_ENDPOINT || len <= 6 || (!tcp && strncmp(endpoint, "ipc://", 6) != 0))
        return weft_fail(WEFT_EINVAL, "%s %.60s: not a tcp:// or ipc:// endpoint", what, endpoint);
    const char *port = strrchr(endpoint + 6, ':');
    if (!tcp)
        return WEFT_OK;
    if (port == NULL || port[1] == '\0')
        return weft_fail(WEFT_EINVAL, "%s %s: no port", what, endpoint);
    /* ZeroMQ would take a number beyond 65535 modulo 65536. */
    long long number;
    char name[WEFT_ZMQ_ENDPOINT + 16];
    snprintf(name, sizeof(name), "%s %s: port", what, endpoint);
    return strcmp(port, ":*") == 0 ? WEFT_OK : weft_parse_int(name, port + 1, 0, 65535, &number);
}

typedef struct option {
    int name, value;
} option;

static int set_options(void *socket, const option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof(int)) != 0)
            return weft_fail(WEFT_EIO, "ZeroMQ option %d = %d: %s", options[i].name,
                             options[i].value, zmq_strerror(zmq_errno()));
    }
    return WEFT_OK;
}

/* What both ends of every connection have. */
static int set_common(void *socket, const weft_zmq_link *l)
{
    const option options[] = {
        {ZMQ_SNDHWM, 0}, /* grants bound memory; a high-water mark would block or lose */
        {ZMQ_RCVHWM, 0},
        {ZMQ_LINGER, l->linger_ms},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_TCP_MAXRT, l->dead_ms},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S},
        {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT},
    };
    const int64_t longest = (int64_t)l->frame_max;
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &longest, sizeof(longest)) != 0)
        return weft_fail(WEFT_EIO, "ZeroMQ option MAXMSGSIZE = %lld: %s", (long long)longest,
                         zmq_strerror(zmq_errno()));
    return set_options(socket, options, sizeof(options) / sizeof(options[0]));
}

/* A bracketed literal wants IPv6; otherwise a name would resolve to IPv6 where nobody listens. */
static int set_family(void *socket, const char *endpoint)
{
    const option family = {ZMQ_IPV6, strchr(endpoint, '[') != NULL};
    return set_options(socket, &family, 1);
}

/* Random lower-case hexadecimal digits. */
static int random_name(char out[2 * RANDOM_NAME + 1])
{
    uint8_t bytes[RANDOM_NAME];
    const int rc = weft_random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; rc == WEFT_OK && i < sizeof(bytes); i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return rc;
}

static int open_monitor(const weft_zmq_link *l, void *socket, int events, void **ret)
{
    char name[2 * RANDOM_NAME + 1], endpoint[sizeof(name) + sizeof("inproc://weft-")];
    const int rc = random_name(name);
    if (rc != WEFT_OK)
        return rc;
    snprintf(endpoint, sizeof(endpoint), "inproc://weft-%s", name);
    if (zmq_socket_monitor(socket, endpoint, events) != 0)
        return zmq_fail("monitor", endpoint);
    void *monitor = zmq_socket(l->context, ZMQ_PAIR);
    /* No high-water mark: the I/O thread would block where the link is not read for long. */
    const int none = 0;
    if (monitor == NULL || zmq_setsockopt(monitor, ZMQ_RCVHWM, &none, sizeof(none)) != 0 ||
        zmq_setsockopt(monitor, ZMQ_LINGER, &none, sizeof(none)) != 0 ||
        zmq_connect(monitor, endpoint) != 0) {
        const int error = zmq_fail("monitor", endpoint);
        zmq_socket_monitor(socket, NULL, 0);
        if (monitor != NULL)
            zmq_close(monitor);
        return error;
    }
    *ret = monitor;
    return WEFT_OK;
}

int weft_zmq_fd(void *socket, int *ret)
{
    size_t len = sizeof(*ret);
    if (zmq_getsockopt(socket, ZMQ_FD, ret, &len) != 0)
        return weft_fail(WEFT_EIO, "ZeroMQ option FD: %s", zmq_strerror(zmq_errno()));
    return WEFT_OK;
}

void weft_zmq_close_socket(void *socket, void *monitor, int linger_ms)
{
    if (socket == NULL)
        return;
    if (monitor != NULL) {
        /* First end the monitor: it must not write to a socket that is gone. */
        zmq_socket_monitor(socket, NULL, 0);
        zmq_close(monitor);
    }
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    zmq_close(socket);
}

int weft_zmq_open_router(weft_zmq_link *l)
{
    const option options[] = {
        {ZMQ_ROUTER_MANDATORY, 1}, /* an unknown or dead peer is an error, not silence */
        {ZMQ_BACKLOG, BACKLOG},
    };
    void *socket = weft_zmq_router(l->context), *monitor = NULL;
    if (socket == NULL)
        return weft_fail(WEFT_EIO, "ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    int rc = set_common(socket, l);
    if (rc == WEFT_OK)
        rc = set_options(socket, options, sizeof(options) / sizeof(options[0]));
    if (rc == WEFT_OK)
        rc = open_monitor(l, socket, ZMQ_EVENT_DISCONNECTED, &monitor);
    if (rc == WEFT_OK)
        rc = weft_zmq_fd(socket, &l->router.fd);
    if (rc == WEFT_OK)
        rc = weft_zmq_fd(monitor, &l->router_monitor_fd);
    if (rc != WEFT_OK) {
        weft_zmq_close_socket(socket, monitor, 0);
        return rc;
    }
    l->router.socket = socket;
    l->router_monitor = monitor;
    weft_zmq_watch_router(l);
    return WEFT_OK;
}

/* "tcp://host:port" with an IPv4 or IPv6 literal in place of the name. Untouched when the host is a
 * literal, a wildcard, or a name of an interface (which does not resolve). */
static void resolve_host(const char *endpoint, char out[WEFT_ZMQ_ENDPOINT])
{
    static const char tcp[] = "tcp://";
    const char *host = endpoint + sizeof(tcp) - 1, *port = strrchr(endpoint, ':');
    snprintf(out, WEFT_ZMQ_ENDPOINT, "%s", endpoint);
    if (strncmp(endpoint, tcp, sizeof(tcp) - 1) != 0 || port <= host || *host == '[' ||
        *host == '*')
        return;
    char name[WEFT_ZMQ_ENDPOINT];
    snprintf(name, sizeof(name), "%.*s", (int)(port - host), host);
    if (if_nametoindex(name) != 0)
        return;

    const struct addrinfo want = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(name, NULL, &want, &found) != 0 || found == NULL)
        return;
    const struct addrinfo *best = found;
    while (best != NULL && best->ai_family != AF_INET)
        best = best->ai_next;
    char literal[INET6_ADDRSTRLEN];
    const struct addrinfo *use = best != NULL ? best : found;
    if (getnameinfo(use->ai_addr, use->ai_addrlen, literal, sizeof(literal), NULL, 0,
                    NI_NUMERICHOST) == 0)
        snprintf(out, WEFT_ZMQ_ENDPOINT, use->ai_family == AF_INET6 ? "tcp://[%s]%s" : "tcp://%s%s",
                 literal, port);
    freeaddrinfo(found);
}

int weft_zmq_listen(weft_zmq_link *l, const char *endpoint)
{
    char at[WEFT_ZMQ_ENDPOINT], bound[WEFT_ZMQ_ENDPOINT], name[2 * RANDOM_NAME + 1];
    size_t bound_len = sizeof(bound);
    if (l->endpoint_count == WEFT_ZMQ_LISTENS)
        return weft_fail(WEFT_EIO, "listen %s: a link listens at %d endpoints at most", endpoint,
                         WEFT_ZMQ_LISTENS);
    int rc = weft_zmq_check_endpoint("listen", endpoint);
    if (rc != WEFT_OK)
        return rc;
    if (strcmp(endpoint, "ipc://*") == 0) {
        rc = random_name(name);
        snprintf(at, sizeof(at), "ipc://@weft-%s", name);
    } else {
        resolve_host(endpoint, at);
    }
    if (rc == WEFT_OK)
        rc = set_family(l->router.socket, at);
    if (rc != WEFT_OK)
        return rc;
    l->router.stale = true;
    if (zmq_bind(l->router.socket, at) != 0)
        return zmq_fail("listen", endpoint);
    if (zmq_getsockopt(l->router.socket, ZMQ_LAST_ENDPOINT, bound, &bound_len) != 0)
        return zmq_fail("listen", endpoint);
    char *copy = weft_strdup(bound);
    if (copy == NULL) {
        zmq_unbind(l->router.socket, bound);
        return weft_fail(WEFT_ENOMEM, "listen %s: out of memory", endpoint);
    }
    l->endpoints[l->endpoint_count++] = copy;
    return WEFT_OK;
}

int weft_zmq_open_dealer(weft_zmq_link *l, const char *endpoint, void **ret_socket,
                         void **ret_monitor)
{
    const option options[] = {
        /* ZeroMQ must not connect again behind our back: frames would be lost, or come to another
         * incarnation. -1 forbids it but makes ZeroMQ throw away, when the connection ends, frames
         * that came and were not read yet, as IMMEDIATE 1 does. So it may, in eleven days, and the
         * socket is closed when its monitor tells of the end; nothing is sent before it is up. */
        {ZMQ_RECONNECT_IVL, RECONNECT_NEVER_MS},
        {ZMQ_CONNECT_TIMEOUT, l->connect_timeout_ms},
    };
    const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                       ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED;
    void *socket = zmq_socket(l->context, ZMQ_DEALER), *monitor = NULL;
    if (socket == NULL)
        return weft_fail(WEFT_EIO, "dial %s: ZeroMQ socket: %s", endpoint,
                         zmq_strerror(zmq_errno()));
    uint8_t id[WEFT_ROUTING_ID];
    int rc = weft_random_bytes(id, sizeof(id));
    id[0] = WEFT_ROUTING_FIRST;
    if (rc == WEFT_OK)
        rc = set_common(socket, l);
    if (rc == WEFT_OK)
        rc = set_options(socket, options, sizeof(options) / sizeof(options[0]));
    if (rc == WEFT_OK)
        rc = set_family(socket, endpoint);
    if (rc == WEFT_OK && zmq_setsockopt(socket, ZMQ_ROUTING_ID, id, sizeof(id)) != 0)
        rc = zmq_fail("dial", endpoint);
    if (rc == WEFT_OK)
        rc = open_monitor(l, socket, events, &monitor);
    if (rc == WEFT_OK && zmq_connect(socket, endpoint) != 0)
        rc = weft_fail(zmq_errno() == EINVAL ? WEFT_EINVAL : WEFT_EIO, "dial %s: %s", endpoint,
                       zmq_strerror(zmq_errno()));
    if (rc != WEFT_OK) {
        weft_zmq_close_socket(socket, monitor, 0);
        return rc;
    }
    *ret_socket = socket;
    *ret_monitor = monitor;
    return WEFT_OK;
}
