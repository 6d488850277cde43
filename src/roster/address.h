/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of seeds: cut, resolved, compared with those of this host. */
#ifndef WEFT_ROSTER_ADDRESS_H
#define WEFT_ROSTER_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { WEFT_HOST_TEXT = 256, WEFT_ADDRESS_TEXT = 64 };

/* "tcp://HOST:PORT" of a comma list, a place where others can connect: no wildcards. */
typedef struct weft_seed_place {
    char host[WEFT_HOST_TEXT]; /* without brackets */
    int port;
} weft_seed_place;

/* The next place of the list *at; moves it behind. 1 taken, 0 the list is at its end, WEFT_EINVAL
 * malformed, the text quotes it. */
int weft_seed_place_next(const char **at, weft_seed_place *ret);

/* Resolve, an IPv4 address if there is one. 0 or WEFT_EIO with the resolver's reason. Blocks as
 * long as the resolver does. */
int weft_address_resolve(const weft_seed_place *place, struct sockaddr_storage *ret);
/* Does it belong to this host (and network namespace)? */
bool weft_address_local(const struct sockaddr_storage *address);
bool weft_address_loopback(const struct sockaddr_storage *address);
/* A name, other than localhost, that resolves to loopback is this host's own: many systems write
 * their name so into /etc/hosts, while others know it by a real address. */
bool weft_address_own_name(const weft_seed_place *place, const struct sockaddr_storage *address);
/* "10.0.0.1" or "[fe80::1]", as endpoints want it. */
void weft_address_text(const struct sockaddr_storage *address, char out[WEFT_ADDRESS_TEXT]);

#endif
