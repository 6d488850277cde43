/* SPDX-License-Identifier: Apache-2.0 */
#include "roster/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "roster/roster.h"

int weft_seed_place_next(const char **at, weft_seed_place *ret)
{
    const char *p = *at;
    if (!*p)
        return 0;
    size_t len = strcspn(p, ",");
    const char *end = p + len, *host = p + strlen("tcp://"), *colon = NULL;
    if (len > strlen("tcp://") && strncmp(p, "tcp://", strlen("tcp://")) == 0) {
        for (const char *c = host; c < end; c++)
            if (*c == ':')
                colon = c;
    }
    if (!colon || colon == host)
        goto bad;
    const char *host_end = colon;
    if (*host == '[' && host_end[-1] == ']') {
        host++;
        host_end--;
    } else if (memchr(host, ':', (size_t)(colon - host))) {
        goto bad; /* an IPv6 address needs brackets */
    }
    char *stop;
    long port = strtol(colon + 1, &stop, 10);
    size_t host_len = (size_t)(host_end - host);
    if (stop != end || colon[1] < '0' || colon[1] > '9' || port < 1 || port > 65535 ||
        host_len == 0 || host_len >= sizeof(ret->host))
        goto bad;
    memcpy(ret->host, host, host_len);
    ret->host[host_len] = '\0';
    ret->port = (int)port;
    if (strchr(ret->host, '*') || strcmp(ret->host, "0.0.0.0") == 0 || strcmp(ret->host, "::") == 0)
        goto bad; /* nobody can connect to that */
    if (*end == ',' && end[1] == '\0')
        goto bad;
    *at = *end == ',' ? end + 1 : end;
    return 1;
bad:
    return weft_fail(WEFT_EINVAL, "meeting place \"%.*s\": expected tcp://HOST:PORT", (int)len, p);
}

int weft_address_resolve(const weft_seed_place *place, struct sockaddr_storage *ret)
{
    struct addrinfo want = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[16];
    snprintf(port, sizeof(port), "%d", place->port);
    int failed = getaddrinfo(place->host, port, &want, &found);
    if (failed || !found)
        return weft_fail(WEFT_EIO, "%s does not resolve: %s", place->host,
                         failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
    const struct addrinfo *best = found;
    for (const struct addrinfo *a = found; a; a = a->ai_next)
        if (a->ai_family == AF_INET) {
            best = a;
            break;
        }
    memset(ret, 0, sizeof(*ret));
    memcpy(ret, best->ai_addr, best->ai_addrlen);
    freeaddrinfo(found);
    return WEFT_OK;
}

static const struct in_addr *ipv4(const struct sockaddr_storage *a)
{
    return &((const struct sockaddr_in *)a)->sin_addr;
}

static const struct in6_addr *ipv6(const struct sockaddr_storage *a)
{
    return &((const struct sockaddr_in6 *)a)->sin6_addr;
}

static socklen_t address_len(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

bool weft_address_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohl(ipv4(address)->s_addr) >> 24 == 127;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(ipv6(address));
}

bool weft_address_local(const struct sockaddr_storage *address)
{
    struct ifaddrs *all = NULL;
    bool local = weft_address_loopback(address);
    if (local || getifaddrs(&all) != 0)
        return local;
    for (const struct ifaddrs *i = all; i && !local; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != address->ss_family)
            continue;
        struct sockaddr_storage own = {0};
        memcpy(&own, i->ifa_addr, address_len(address));
        if (address->ss_family == AF_INET)
            local = ipv4(&own)->s_addr == ipv4(address)->s_addr;
        else if (address->ss_family == AF_INET6)
            local = memcmp(ipv6(&own), ipv6(address), sizeof(struct in6_addr)) == 0;
    }
    freeifaddrs(all);
    return local;
}

bool weft_address_own_name(const weft_seed_place *place, const struct sockaddr_storage *address)
{
    struct in_addr four;
    struct in6_addr six;
    return weft_address_loopback(address) && strcasecmp(place->host, "localhost") != 0 &&
           inet_pton(AF_INET, place->host, &four) != 1 &&
           inet_pton(AF_INET6, place->host, &six) != 1;
}

void weft_address_text(const struct sockaddr_storage *address, char out[WEFT_ADDRESS_TEXT])
{
    char text[INET6_ADDRSTRLEN] = "";
    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, ipv4(address), text, sizeof(text));
        snprintf(out, WEFT_ADDRESS_TEXT, "%s", text);
    } else {
        inet_ntop(AF_INET6, ipv6(address), text, sizeof(text));
        snprintf(out, WEFT_ADDRESS_TEXT, "[%s]", text);
    }
}

/* A name filter: "eth,ib" prefixes; "=eth0,ib0" exact names; "^docker" and "^=lo" the others. */
static bool name_fits(const char *filter, const char *name)
{
    bool except = filter[0] == '^';
    filter += except;
    bool exact = filter[0] == '=';
    filter += exact;
    for (const char *p = filter; *p;) {
        size_t len = strcspn(p, ",");
        bool same = strncmp(p, name, len) == 0 && (!exact || name[len] == '\0');
        if (len > 0 && same)
            return !except;
        p += len + (p[len] == ',');
    }
    return except;
}

/* Bridges and tunnels of containers and virtual machines lead nowhere outside. */
static bool is_bridge(const char *name)
{
    static const char *const prefixes[] = {"docker", "br-", "veth", "virbr", "cni", "flannel"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* How much an interface is wanted: 3 ordinary, 2 bridge, 1 loopback, 0 not usable. */
static int worth(const struct ifaddrs *i)
{
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP))
        return 0;
    if (i->ifa_flags & IFF_LOOPBACK)
        return 1;
    return is_bridge(i->ifa_name) ? 2 : 3;
}

/* The best interface that fits the filter (NULL: any), the first among equals. */
static int choose_interface(const char *filter, char out[WEFT_ADDRESS_TEXT])
{
    struct ifaddrs *all = NULL;
    char names[256] = "";
    int best = 0;
    if (getifaddrs(&all) != 0)
        return weft_fail(WEFT_EIO, "cannot list network interfaces: %s", strerror(errno));
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        int value = worth(i);
        size_t len = strlen(names);
        if (value > 0)
            snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "", i->ifa_name);
        if (value <= best || (filter && !name_fits(filter, i->ifa_name)))
            continue;
        struct sockaddr_storage address = {0};
        memcpy(&address, i->ifa_addr, sizeof(struct sockaddr_in));
        weft_address_text(&address, out);
        best = value;
    }
    freeifaddrs(all);
    if (best == 0 && filter)
        return weft_fail(WEFT_EINVAL,
                         "WEFT_SOCKET_IFNAME=%s fits no interface that is up and has an IPv4 "
                         "address: there are %s",
                         filter, names[0] ? names : "none");
    if (best == 0)
        strcpy(out, "127.0.0.1");
    return WEFT_OK;
}

/* The own address from which packets to there would go: connecting a datagram socket sends none. */
static bool route_to(const struct sockaddr_storage *there, char out[WEFT_ADDRESS_TEXT])
{
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof(own);
    int fd = socket(there->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool found = connect(fd, (const struct sockaddr *)there, address_len(there)) == 0 &&
                 getsockname(fd, (struct sockaddr *)&own, &len) == 0;
    close(fd);
    if (found)
        weft_address_text(&own, out);
    return found;
}

int weft_address_choose(const weft_meeting *m, const char *ifname, char out[64])
{
    if (ifname && ifname[0])
        return choose_interface(ifname, out);
    const char *at = m->meet;
    weft_seed_place place = {0};
    struct sockaddr_storage seed;
    while (strncmp(at, "tcp://", strlen("tcp://")) == 0) {
        int got = weft_seed_place_next(&at, &place);
        if (got < 0)
            return got;
        if (weft_address_resolve(&place, &seed) != WEFT_OK) {
            if (weft_now() >= m->deadline_ns)
                break;
            continue; /* another one may resolve; the meeting tells if none does */
        }
        if (weft_address_own_name(&place, &seed))
            break;
        if (route_to(&seed, out))
            return WEFT_OK;
    }
    return choose_interface(NULL, out);
}

bool weft_address_private(const char *endpoint)
{
    struct in_addr four;
    struct in6_addr six;
    char host[WEFT_HOST_TEXT];
    const char *at = strstr(endpoint, "://");
    if (!at || strncmp(endpoint, "tcp://", strlen("tcp://")) != 0)
        return at ? strncmp(endpoint, "ipc://", strlen("ipc://")) == 0
                  : strncmp(endpoint, "mem", 3) == 0;
    at += 3;
    const char *colon = strrchr(at, ':');
    size_t len = colon ? (size_t)(colon - at) : strlen(at);
    if (len >= 2 && at[0] == '[' && at[len - 1] == ']') {
        at++;
        len -= 2;
    }
    if (len >= sizeof(host))
        return false;
    memcpy(host, at, len);
    host[len] = '\0';
    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &four) == 1) {
        uint32_t a = ntohl(four.s_addr);
        return a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 24 == 127 ||
               a >> 16 == 0xa9fe;
    }
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_LINKLOCAL(&six) ||
               (six.s6_addr[0] & 0xfe) == 0xfc;
    return false;
}
