/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file explain.h
 * The workbench: what an operation would do, why, and how long it would take, without a group and
 * without peers.
 *
 *     weft_query query = {.size = sizeof(query), .collective = "allreduce", .peers = 8,
 *                         .count = 1 << 20, .dtype = WEFT_F32};
 *     weft_explain *e = NULL;
 *     weft_candidate c = {.size = sizeof(c)};
 *     if (weft_explain_open(&e, &query) == WEFT_OK)
 *         for (int i = 0; weft_explain_get(e, i, &c); i++)
 *             printf("%s %g s%s\n", c.algo, c.seconds, c.chosen ? ", taken" : "");
 *     weft_explain_close(&e);
 *
 * A collective is a plan, a list of steps for each peer. The same plans that a group runs are here
 * priced (weft_explain_open), shown (weft_schedule_open), proved (weft_verify) and run in virtual
 * time over a network that is described (weft_simulate).
 *
 * Structs with a field `size` are told their size by the caller, as those of group.h. Threads: any;
 * an opened object belongs to one thread at a time.
 */
#ifndef WEFT_EXPLAIN_H
#define WEFT_EXPLAIN_H

#include <weft/topology.h>
#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of an algorithm's SPEC and of a reason, terminating zero included. */
enum { WEFT_EXPLAIN_ALGO = 128, WEFT_EXPLAIN_TEXT = 160 };

/** Which operation is meant: the arguments of the call, as far as they decide what is done. */
typedef struct weft_query {
    size_t size;             /**< sizeof(weft_query) */
    const char *collective;  /**< "allreduce", as `weft info` lists them */
    const char *algo;        /**< SPEC of its algorithm; NULL or "auto": the cheapest that fits */
    const char *codec;       /**< SPEC; NULL: what goes with the algorithm, "raw" */
    const char *reply_codec; /**< SPEC, as in weft_coll_opts; NULL: elements as they are */
    weft_fidelity fidelity;  /**< as there */
    const char *costs; /**< the cost table that prices are made of, "round=40e-6,byte=1e-9": any
                            of round, message, byte, reduce, incast; the others, NULL: all, are
                            built in, for peers on one host or not (hosts) */
    int peers;         /**< 1 … 65535 */
    int root;          /**< of collectives that have one */
    weft_dtype dtype;  /**< of the elements */
    int ragged;        /**< 1: blocks of different lengths (allgatherv), of which count is the
                            longest */
    uint64_t count;    /**< elements, 0 … 2^40: of the vector, or of one block as in the call */
    uint64_t lane;     /**< elements of a lane; 0: as weft cuts it */
    uint64_t block;    /**< elements that stay together when a lane is cut; 0: the codec's */
    const int *hosts;  /**< peers entries: the number of each peer's host, below peers. NULL: all
                            on one */
    const weft_topology *topology; /**< who may talk to whom; used until what the query opens is
                                        closed. NULL: everybody to everybody */
    const int *order; /**< peers entries: the rank at each place of algorithms that are rings or
                           trees (others keep their ranks). NULL: rank i at place i */
    int residual, own, owned; /**< 1: the call has that option of weft_coll_opts, which "auto" goes
                                   by */
} weft_query;

/** An algorithm that could serve a query. */
typedef struct weft_candidate {
    size_t size;                     /**< sizeof(weft_candidate), set by the caller */
    char algo[WEFT_EXPLAIN_ALGO];    /**< its SPEC */
    char why_not[WEFT_EXPLAIN_TEXT]; /**< why it cannot serve; "": it can */
    const char *summary;             /**< one line; static */
    const char *formula;             /**< of rounds and bytes; static */
    const char *needs;               /**< "encodings that merge", "any codec"; static */
    int chosen;                      /**< 1: this one runs */
    int named;                       /**< 1: it runs only where it is named: "auto" passes by it */
    double seconds;       /**< that it is thought to take: the sum of the next four. 0, as
                               all that follows, when it cannot serve */
    double round_s;       /**< waiting for one message after the other */
    double message_s;     /**< a rank's work for its messages */
    double byte_s;        /**< sending bytes */
    double reduce_s;      /**< combining encodings */
    double rounds;        /**< messages that wait for one another */
    double messages;      /**< most that a rank sends, or receives, in all lanes */
    double bytes;         /**< most that a rank sends, or receives, bodies only, in all lanes */
    double serial_bytes;  /**< those that go one behind the other: bytes, or more where a lane's
                               longest chain of messages carries more */
    double reduced_bytes; /**< most encoded bytes that a rank combines, in all lanes */
    double peers;         /**< most from which a rank receives */
    uint64_t lane;        /**< elements of a lane */
    uint64_t lanes;       /**< how many; the last one may be shorter */
} weft_candidate;

typedef struct weft_explain weft_explain; /**< the answer to a query */

/**
 * Price every algorithm of a collective, by the very functions that choose when the operation runs.
 *
 * @param query  copied.
 * @return 0; WEFT_EINVAL a malformed query (the text names the field); WEFT_ENOTSUP type and codec
 *         do not go together; WEFT_ENOMEM. That the algorithm which was named cannot serve, or that
 *         none can, is an answer: no candidate is `chosen` then.
 */
WEFT_API int weft_explain_open(weft_explain **ret, const weft_query *query);
/** The index-th candidate into *ret (whose size is set): an algorithm that the query names with
 *  parameters of its own first, then all with their defaults. @return 1; 0 behind the last, *ret is
 *  untouched. */
WEFT_API int weft_explain_get(const weft_explain *e, int index, weft_candidate *ret);
/** Free it. NULL-safe, sets *e to NULL. */
WEFT_API void weft_explain_close(weft_explain **e);

/** What a step does. Slots hold encodings, or elements as they are (raw). */
typedef enum weft_do {
    WEFT_DO_PACK,   /**< slot = encoding of the input's span */
    WEFT_DO_SEND,   /**< send the slot to peer */
    WEFT_DO_RECV,   /**< slot = what peer sends, at the latest at the next fence */
    WEFT_DO_FOLD,   /**< slot = slot op the input's span */
    WEFT_DO_MERGE,  /**< slot = slot op other */
    WEFT_DO_UNPACK, /**< the output's span = the decoded slot */
    WEFT_DO_ADD,    /**< the output's span = itself op the decoded slot */
    WEFT_DO_REPLY,  /**< slot = the output's span as it is */
    WEFT_DO_SCALE,  /**< slot = weight times slot */
    WEFT_DO_FENCE,  /**< wait for every receive above */
    WEFT_DO_COUNT
} weft_do;

/** A step of one peer, in one lane. */
typedef struct weft_schedule_step {
    size_t size;     /**< sizeof(weft_schedule_step), set by the caller */
    weft_do verb;    /**< what it does */
    int peer;        /**< of send and recv, else -1 */
    int slot;        /**< -1: none */
    int other;       /**< the second slot of a merge, else -1 */
    int other_first; /**< of a merge: 1 when its operands are other op slot */
    int raw;         /**< 1: the slot holds elements as they are, not an encoding */
    int joined;      /**< of send and recv: 1 when it is one message with the next step */
    int round;      /**< of send and recv: the round of its message, from 1; else 0. A message is in
                         round k + 1 when the last one its sender had waited for was in round k */
    int travels;    /**< of send and recv: which block it is among all that travel */
    uint32_t block; /**< of the span: which block of the input or output, or `travels` */
    uint64_t off, count; /**< of the span: elements of the lane's part of that block */
    uint64_t bytes;      /**< of the slot, at most */
    double weight;       /**< of scale */
} weft_schedule_step;

typedef struct weft_schedule weft_schedule; /**< the plans of all peers for one lane */

/**
 * The plans of an operation. Only one peer's is held at a time, built when it is asked for; the
 * rounds of all messages are worked out once, 16 bytes each.
 *
 * @return 0; as weft_explain_open(), WEFT_ENOTSUP also when no algorithm, or not the one named, can
 *         serve.
 */
WEFT_API int weft_schedule_open(weft_schedule **ret, const weft_query *query);
/** The algorithm's SPEC. Valid until the schedule is closed. */
WEFT_API const char *weft_schedule_algo(const weft_schedule *s);
/** Elements of the lane, or of a block's part in it. */
WEFT_API uint64_t weft_schedule_count(const weft_schedule *s);
/** Rounds until the last message is there; 0 when nothing is sent. */
WEFT_API int weft_schedule_rounds(const weft_schedule *s);
/** Take up a peer's plan in place of the one before. @param ret_steps how many steps it has.
 *  @return 0; WEFT_EINVAL no such rank; WEFT_ENOMEM. */
WEFT_API int weft_schedule_rank(weft_schedule *s, int rank, size_t *ret_steps);
/** A step of the peer taken up last, into *ret (whose size is set). @return 1; 0 behind the last,
 *  *ret is untouched. */
WEFT_API int weft_schedule_step_get(const weft_schedule *s, size_t index, weft_schedule_step *ret);
/** Free it. NULL-safe, sets *s to NULL. */
WEFT_API void weft_schedule_close(weft_schedule **s);
/** "pack", "send", …, "unknown" for what is none. Static storage. */
WEFT_API const char *weft_do_name(weft_do verb);

/** What a proof went through. */
typedef struct weft_proof {
    size_t size;       /**< sizeof(weft_proof), set by the caller */
    uint64_t plans;    /**< one a peer and lane length */
    uint64_t steps;    /**< of all of them */
    uint64_t messages; /**< between them */
} weft_proof;

/**
 * Prove the plans of all peers: in every interleaving nobody waits for ever, every result holds
 * every contribution exactly once, all peers sum in the same order, in place too; and what
 * weft_explain_open() says of rounds, messages, bytes and peers is what a simulation counts.
 *
 * Where the last lane is shorter than the others, both lengths are proved.
 *
 * @param ret  filled on success; NULL: not wanted.
 * @return 0; as weft_schedule_open(); WEFT_EINTERNAL the proof failed: the text names rank and
 * step, or which figure is not what was counted. Cost: time and memory grow with peers × blocks ×
 * spans; a second for a ring of 128.
 */
WEFT_API int weft_verify(const weft_query *query, weft_proof *ret);

/** A peer that differs from the others. */
typedef struct weft_peer_link {
    int rank;
    double rate;   /**< bytes per second in either direction; 0: as the others */
    double late_s; /**< calls the operation so many seconds after the others */
} weft_peer_link;

/** One direction between two peers that differs from the others. */
typedef struct weft_edge_link {
    int from, to;
    double rate;      /**< most bytes per second; 0: no limit of its own */
    double latency_s; /**< instead of the network's; below 0: as the network's */
} weft_edge_link;

/**
 * A network and the machines at its ends, for weft_simulate().
 *
 * Every peer has a link up and a link down at a switch that is never the narrow place. Messages to
 * one peer go one behind the other, as in a TCP connection; the connections of a link share it
 * max-min fair (Bertsekas & Gallager, Data Networks, 1992, 6.5.2). Rates count everything that
 * travels: bodies, headers, segments. A rate of 0 is no limit.
 */
typedef struct weft_network {
    size_t size;      /**< sizeof(weft_network) */
    double rate;      /**< bytes per second of every peer's link, each way */
    double latency_s; /**< from peer to peer */
    double burst;     /**< bytes that a link passes at peak after a pause: the bucket of tc-tbf */
    double peak;      /**< bytes per second then */
    double local_rate, local_latency_s; /**< between peers of one host (weft_query.hosts) */
    double trunk_rate; /**< bytes per second of every host, each way, shared by its peers */
    double segment_bytes, segment_overhead; /**< payload of a TCP segment and bytes around it */
    double ack_share;    /**< bytes of acknowledgements for a byte that goes the other way */
    double incast;       /**< part of a link's rate lost for each peer but one that sends into it */
    double switch_bytes; /**< that a switch takes whole before it passes them on; 0: none */
    double frame_bytes;  /**< bytes around each part of a message, a frame of at most 256 KiB */
    double send_s;       /**< a peer's work to send a message */
    double receive_s;    /**< its work to take one */
    double handoff_s;    /**< between threads, once a message is there; nobody's work */
    double pack_s, merge_s, unpack_s; /**< work for a byte of elements encoded, combined, decoded */
    int lanes;                        /**< at work at a time, 1 … 64 */
    const weft_peer_link *peers;      /**< peer_count exceptions, each rank at most once */
    const weft_edge_link *edges;      /**< edge_count exceptions, each pair at most once */
    size_t peer_count, edge_count;
} weft_network;

/** Peers of one host over loopback TCP: the figures that prices are made of (docs/topologies.md
 *  tells each one's source). A caller describes a network by changing rate and latency_s. */
WEFT_API void weft_network_default(weft_network *ret);

/** What a simulated operation did. */
typedef struct weft_simulated {
    size_t size;                  /**< sizeof(weft_simulated), set by the caller */
    char algo[WEFT_EXPLAIN_ALGO]; /**< SPEC of what ran */
    double seconds;               /**< until the last peer had its result */
    double first_s;               /**< until the first one had */
    uint64_t lanes;               /**< the vector was cut into */
    uint64_t messages;            /**< data, sent by all peers */
    uint64_t body_bytes;          /**< of those */
    uint64_t body_most;           /**< bodies sent by the peer that sent most */
    double wire_bytes;            /**< all that travelled, grants and headers too */
    char busiest[64];             /**< the link used most, "down of rank 3"; "": none is limited */
    double busiest_share;         /**< bytes it passed over what it could have passed */
    uint64_t events;              /**< of the simulation */
} weft_simulated;

/** A message that arrived. */
typedef struct weft_passage {
    int from, to;
    uint64_t lane;
    uint32_t message; /**< how many went before it between the two, in this lane */
    double sent_s;    /**< handed to the link */
    double arrived_s; /**< there */
    uint64_t bytes;   /**< of its body */
} weft_passage;

/**
 * Run one operation in virtual time: lanes, grants and fragments as the engine has them, one thread
 * a peer, links shared. The same query and network give the same figures everywhere.
 *
 * @param network  borrowed during the call.
 * @param watch    called for every message, in the order of arrival; NULL: nobody looks.
 * @param finish   room for one time a peer: seconds until it had its result; NULL: not wanted.
 * @param ret      filled on success (its size is set).
 * @return 0; as weft_schedule_open(); WEFT_EINVAL a network with impossible figures (named);
 *         WEFT_EINTERNAL plans that do not match one another.
 * Cost: about a microsecond a message; memory 16 bytes a step of those at work, and 300 bytes a
 * pair of peers that talk.
 */
WEFT_API int weft_simulate(const weft_query *query, const weft_network *network,
                           void (*watch)(void *user, const weft_passage *passage), void *user,
                           double *finish, weft_simulated *ret);

#ifdef __cplusplus
}
#endif
#endif
