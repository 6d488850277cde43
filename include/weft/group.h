/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file group.h
 * A group: P peers that found each other and hold the same roster.
 *
 * Peers meet at a place that all of them name: a shared folder ("file:///mnt/jobs/7"), one or more
 * seed endpoints ("tcp://alpha:7000,tcp://beta:7000", any peer at such an address serves the
 * list), or a hub (threads of one process). Without a place the launcher's variables tell: WEFT_*,
 * torchrun's, mpirun's or srun's.
 */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_FOREVER (-1)   /**< a timeout that never passes */
#define WEFT_UNDEFINED (-1) /**< color of a peer that will be in none of the new groups */

typedef struct weft_hub weft_hub; /**< meeting place and link for threads of one process */

/** How to open a group. Fill with weft_group_opts_init() first: it sets the size, rank -1 and zero
 *  for the rest, which leaves each to the environment and then to the default. */
typedef struct weft_group_opts {
    size_t size;             /**< sizeof(weft_group_opts) */
    int peers;               /**< number of peers, 1 … 65535; 0: from the environment */
    int rank;                /**< wished rank; -1: from the environment, else by order of arrival */
    const char *meet;        /**< meeting place; NULL: WEFT_MEET, else the launcher's */
    const char *job;         /**< job id, keeps two jobs at one place apart; NULL: environment */
    const char *link;        /**< "auto" (ipc on one host, else tcp), "tcp", "ipc", "mem"; NULL:
                                  WEFT_LINK, else "auto", with a hub "mem" */
    const char *listen;      /**< "tcp://ADDRESS:PORT" to bind; NULL: WEFT_LISTEN, else any port
                                  of the interface that WEFT_SOCKET_IFNAME or routing names */
    const char *advertise;   /**< "tcp://ADDRESS:PORT" told to others; NULL: WEFT_ADVERTISE, else
                                  what was bound */
    weft_hub *hub;           /**< for link "mem": the hub, which is then the meeting place too */
    int64_t open_timeout_ms; /**< longest wait for all peers; WEFT_FOREVER; 0:
                                  WEFT_OPEN_TIMEOUT_MS, else 60 000. Looking up a seed's name is not
                                  cut short: the resolver's own timeout may come on top */
    int64_t timeout_ms;      /**< default for operations: longest time without progress;
                                  WEFT_FOREVER; 0: WEFT_TIMEOUT_MS, else 60 000 */
    int64_t dead_ms;         /**< silence after which a peer counts as dead, 50 or more; 0:
                                   WEFT_DEAD_MS, else
                                  1 000 when all addresses are private, else 10 000. A peer is silent
                                  within one piece of work: a codec that takes a whole vector at once
                                  (powersgd, topk, bucket=0), a call of the user's reduction. Set
                                  twice what encoding and decoding take together, where that is
                                  more */
    int64_t spin_us;         /**< how long a waiting caller looks for messages again and again,
                                  yielding its core each time, before it sleeps; -1: not at all; 0:
                                  WEFT_SPIN_US, else 1 000 where every peer of this host can have a
                                  core of its own, and not at all where it cannot */
    uint64_t seed;           /**< key of all random numbers, the same on all peers; 0: WEFT_SEED,
                                  else 1 */
    const char *algo;        /**< which algorithm for which collective and size, the same on all
                                  peers: an allreduce SPEC, "ring", or rules
                                  "allreduce:0-64K=doubling;broadcast=tree" (FROM in, TO out, bytes
                                  of the vector or block); NULL: WEFT_ALGO, else automatic */
    const char *topology;    /**< SPEC of who may talk to whom, "file:path=net.txt", the same on all
                                  peers: operations go along its edges only; NULL: WEFT_TOPOLOGY,
                                  else everybody to everybody */
    const char *order;       /**< how ranks sit in rings and trees, the same on all peers: a list of
                                  all ranks, "0,3,1,2", or "links:path=FILE,bytes=65536" to work out
                                  good ones from a matrix of rates and latencies (its form: topology.h;
                                weft bench matrix measures one);
                                NULL: WEFT_ORDER, else in their own order */
    const char *costs;    /**< the constants that automatic choice goes by, the same on all peers,
                               "round=40e-6,byte=1e-9" (weft bench tune measures them);
                               NULL: WEFT_COSTS; the rest, else all of them, are built in, for peers
                               on one host or not */
    const char *checksum; /**< body checksums: "auto" (between hosts), "on", "off"; NULL:
                               WEFT_CHECKSUM, else "auto" */
    /** Takes a line of text, valid during the call; level 0 error, 1 warning, 2 information, 3
     * debug; NULL: silent.
     *
     * It is called by one thread at a time for one opened group with all that are split from it,
     * but by different ones: that which opens it, while peers meet, then whichever drives the
     * group: one of the library's, on which all signals are blocked, or one that waits in a call of
     * these groups or closes one. Groups that were opened apart may call it at once. It must
     * return, soon, since nothing moves meanwhile, and must not call weft for these groups: what
     * waits there waits for ever. */
    void (*log)(void *user, int level, const char *line);
    void *log_user; /**< handed to log; must live until the last of these groups is closed */
} weft_group_opts;

/** Set size and defaults. */
WEFT_API void weft_group_opts_init(weft_group_opts *opts);

/**
 * Meet the other peers and open the group.
 *
 * @param ret   the group; untouched on failure.
 * @param opts  NULL: everything from the environment. Strings are copied.
 * @return 0; WEFT_EINVAL option or environment malformed, peers that do not go together (of
 *         another number, with no link in common), or what another found so; WEFT_ETIMEDOUT not all
 *         came: the text names who is missing and what was tried; WEFT_EDUPLICATE two peers claim
 *         one rank; WEFT_EPEER one that had come gave up, the text says why; WEFT_EVERSION a peer
 *         speaks another version; WEFT_EIO cannot bind, read, write or start a thread;
 *         WEFT_ENOTSUP the topology has too many edges; WEFT_ENOMEM; WEFT_EINTERNAL a bug in weft.
 *         After an error there is no group here, and all may try again.
 * Threads: any; the group may then be used from any thread. Cost: one thread; but for link "mem" a
 * listening socket for each of tcp and ipc ("auto" has both, and a seed listens at its address
 * too), and ZeroMQ's two threads (I/O and reaper), once for all groups of the process. No
 * connection to peers until an operation needs it. A peer hears at most 4096 others that connect to
 * it at one time: of a pair the lower rank does, and everybody to a seed. Further ones connect in
 * vain, and log is told so. So larger groups meet in a folder, and use algorithms of few neighbours
 * (rings, trees).
 */
WEFT_API int weft_group_open(weft_group **ret, const weft_group_opts *opts);

/**
 * Make new groups of a group's peers: those that give the same color are together, in the order of
 * (key, rank in this group). Every peer of the group calls it, in the order of its collectives.
 *
 * The new group has numbers, failures and operations of its own, over the same links, and inherits
 * timeouts, rules for algorithms, seed and log; of topology and order what is left among its peers.
 * Lossy codecs key their random numbers with the rank in the group that was opened: operations of
 * one number in different groups draw the same ones, unless draw or tensor tell them apart.
 *
 * @param color  0 or more; WEFT_UNDEFINED: this peer gets *ret = NULL.
 * @param key    any number.
 * @param ret    the group of this peer's color; untouched on failure.
 * @return 0; WEFT_EINVAL on every peer, naming who gave another color or nowhere to put the group,
 *         or whom the topology does not connect with others of its color;
 *         WEFT_ENOMEM, the same; and what an allgather may return.
 * Cost: an allgather of 12 bytes; about 45 KiB, and 60 bytes for each peer of this group. No
 * thread, no connection.
 */
WEFT_API int weft_group_split(weft_group *group, int color, int key, weft_group **ret);

/** Make a second group of the same peers in the same order: operations there are apart from those
 *  here. Otherwise as weft_group_split(). */
WEFT_API int weft_group_duplicate(weft_group *group, weft_group **ret);

/**
 * Leave and free the group. NULL-safe, sets *group to NULL. Operations of it that still run are
 * canceled; their requests stay valid until freed, in any order with this call. Returns within one
 * second.
 *
 * A group and those split from it are closed in any order; each ends alone, the thread and the
 * links they share end with the last of them. The first operation for which another peer still
 * needs this one fails with WEFT_EPEER ("left the group"), and the group is broken from there on:
 * those at work after it fail alike, later calls with WEFT_EBROKEN. Those before it complete.
 * Sends and receives between members that stay go on, and so do other groups.
 */
WEFT_API void weft_group_close(weft_group **group);

WEFT_API int weft_group_rank(const weft_group *group); /**< own position, 0 … size-1 */
WEFT_API int weft_group_size(const weft_group *group); /**< number of peers */
/** The seed all peers share (see weft_group_opts). */
WEFT_API uint64_t weft_group_seed(const weft_group *group);

/** Where a rank is reached, as published: "tcp://10.0.0.3:41873", "ipc://@weft-…", "mem:2". Valid
 *  until the group is closed. NULL when rank is out of range. */
WEFT_API const char *weft_group_endpoint(const weft_group *group, int rank);

/** What the group sent and received so far, with all groups that share its links: the opened one
 * and what was split from it. */
typedef struct weft_group_stats {
    size_t size;                  /**< sizeof(weft_group_stats), set by the caller */
    uint64_t body_bytes_sent;     /**< bodies of data frames */
    uint64_t body_bytes_received; /**< bodies of data frames */
    uint64_t wire_bytes_sent;     /**< all frames, headers included; ZeroMQ's and IP's apart */
    uint64_t wire_bytes_received; /**< all frames, headers included */
    uint64_t operations;          /**< operations completed with success */
    uint64_t connections;         /**< links up now */
    uint64_t frames_dropped;      /**< frames refused: late, foreign, malformed */
} weft_group_stats;

/** Fill the first ret->size bytes. @return 0 or WEFT_EINVAL. Threads: any. */
WEFT_API int weft_group_get_stats(weft_group *group, weft_group_stats *ret);

/** Make a hub for so many peers. Each thread then opens its group with link "mem" and this hub.
 *  @return 0, WEFT_EINVAL, WEFT_ENOMEM. */
WEFT_API int weft_hub_open(weft_hub **ret, int peers);
/** Free the hub, after every group on it was closed. NULL-safe, sets *hub to NULL. */
WEFT_API void weft_hub_close(weft_hub **hub);

#ifdef __cplusplus
}
#endif
#endif
