/* SPDX-License-Identifier: Apache-2.0 */
/* The group's insides, for the files of src/group. */
#ifndef WEFT_GROUP_GROUP_INTERNAL_H
#define WEFT_GROUP_GROUP_INTERNAL_H

#include <stdatomic.h>

#include "base/log.h"
#include "collectives/algo.h"
#include "engine/engine_loop.h"
#include "group/plancache.h"
#include "roster/roster.h"
#include <weft/group.h>
#include <weft/topology.h>

enum { WEFT_RULES_TEXT = 1024 };

/* Ranks as they sit in algorithms: order[place] = rank. NULL: as they are. */
typedef struct weft_orders {
    int *ring, *tree;
    uint64_t digest; /* of both, for peers to compare */
} weft_orders;

/* From the text of the option: a list of all ranks, "0,3,1,2", or "links:path=FILE,bytes=N". 0;
 * WEFT_EINVAL; WEFT_EIO; WEFT_ENOMEM. */
int weft_orders_make(weft_orders *ret, const char *text, int size);
/* Of a group of some of the peers: place[rank] is a rank's place in it, -1: none; size: how many
 * have one. The arrays are there already. */
void weft_orders_among(weft_orders *ret, const weft_orders *whole, const int *place, int peers,
                       int size);
void weft_orders_free(weft_orders *o);

#define WEFT_LONGEST_MS INT64_C(31536000000) /* of any timeout: a year */

/* An opened group, or one of some of its peers. Both use the opened one's engine, which ends when
 * the last of them is closed; the opened group's own memory stays until then. */
struct weft_group {
    int rank, size;
    uint64_t seed;
    int64_t timeout_ms;
    char *algo;              /* rules for the choice of algorithms, or NULL */
    char *given_costs;       /* of what choosing goes by, what the user gave */
    weft_costs costs;        /* all of it, for where the peers are */
    weft_topology *topology; /* who may talk to whom, or NULL */
    weft_orders orders;
    int *host; /* per rank: number of its host, in order of first appearance */
    weft_log log;
    weft_roster roster;                /* empty on a hub */
    char (*where)[WEFT_ENDPOINT_TEXT]; /* per rank: the endpoint to dial */
    const char **dial;                 /* per rank: where, as a list for the engine */
    bool *sum;                         /* per rank: body checksums */
    weft_plancache *plans;
    weft_plan_files *files; /* that algorithm `plan` named */
    weft_loop *loop;
    weft_group *opened;    /* this one, or the one it was made from in the end */
    atomic_int handles;    /* of an opened group: groups over its engine that are not closed */
    weft_context *context; /* NULL: the opened group */
    uint64_t tag;
    int *ranks;          /* in the opened group, by rank; NULL: the same */
    weft_request *leave; /* made in time: closing cannot lack memory */
};

/* "rank 2", "rank 2 (rank 5 of the opened group)" */
const char *weft_group_rank_words(const weft_group *g, int rank, char *out, size_t cap);
/* Once size and hosts are known. */
void weft_group_set_costs(weft_group *g);
void weft_group_free(weft_group *g); /* the memory; NULL-safe */

/* Options with the environment merged in, in their own storage. */
typedef struct weft_settings {
    weft_group_opts opts;
    char link[16], checksum[8], algo[WEFT_RULES_TEXT];
    const char *topology, *order; /* the option's or the environment's, or NULL */
    const char *costs;            /* text, "" where none is given */
} weft_settings;

int weft_settings_read(const weft_group_opts *opts, weft_settings *ret);

/* Bind, meet, and fill the group's rank, size, roster, where, dial, sum. On success *ret_link is
 * bound and *ret_dead_ms the silence after which a peer counts as dead. */
int weft_group_meet(weft_group *g, const weft_settings *s, weft_link **ret_link, uint64_t *ret_tag,
                    int64_t *ret_dead_ms);

#endif
