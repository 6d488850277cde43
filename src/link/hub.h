/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub: meeting place and link of threads in one process. Opened and closed through group.h.
 *
 * A round: every peer claims a seat, all get one at the same time, each opens its link there. When
 * the last seat of the round was left, the hub is ready for the next round.
 */
#ifndef WEFT_LINK_HUB_H
#define WEFT_LINK_HUB_H

#include <stdint.h>

typedef struct weft_hub weft_hub;

int weft_hub_peers(const weft_hub *hub);

/* Claim a seat and wait until all peers have one. rank -1: what the others left over, by order of
 * arrival. 0; WEFT_EINVAL no such rank; WEFT_EDUPLICATE the rank is claimed; WEFT_ETIMEDOUT naming
 * the missing ranks (the claim is then withdrawn). Any thread. */
int weft_hub_seat(weft_hub *hub, int rank, int64_t deadline_ns, int *ret_seat);

/* Give a seat back without having opened a link there. Closing the link does it otherwise. */
void weft_hub_leave(weft_hub *hub, int seat);

#endif
