/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file topology.h
 * Topologies: who is whose neighbour, as data; and good orders for rings and trees.
 *
 * A topology is an undirected connected graph on the ranks 0 … size-1, without loops and without
 * double edges. It is made from a SPEC, "ring", "tree:arity=3", "regular:degree=4,seed=7",
 * "file:path=net.txt"; `weft info topologies` lists names, keys and sources. The same SPEC and size
 * give the same graph on every machine. Nothing here needs a group or a network.
 *
 * An edge list, for "file:path=…", is a text of one edge a line:
 *
 *     # a comment reaches to the end of its line
 *     peers 4              optional, the first line: otherwise as many as the caller says
 *     0 1 1gbit 50us       two ranks, then the edge's rate, then its latency: both may be left out
 *     1 2 100mbit
 *     2 3
 *
 * Rates are bits per second, plain or with one of the units bit, kbit, mbit, gbit, tbit (powers of
 * 1000); latencies are seconds, plain or with one of s, ms, us, ns. An edge may be written once or
 * several times, either way round, but then with the same values. A file holds at most 64 MiB and
 * 4 194 304 edges; it must be a regular file.
 *
 * A matrix of links, for weft_links_open(), has the same form, but every line is one direction, all
 * four words are there, and every ordered pair of ranks is.
 */
#ifndef WEFT_TOPOLOGY_H
#define WEFT_TOPOLOGY_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_topology weft_topology; /**< a graph; immutable, any thread may use it */
typedef struct weft_links weft_links;       /**< rates and latencies of all pairs; immutable */

/**
 * Make a topology.
 *
 * @param ret   the topology; untouched on failure.
 * @param spec  its SPEC.
 * @param size  number of peers, 1 … 65535; 0: as many as the SPEC's file has ("peers N", else one
 *              more than the largest rank).
 * @return 0; WEFT_EINVAL malformed SPEC (the text names the valid keys), no such graph of that size
 *         (the text says which sizes fit), malformed file (the text names file and line); WEFT_EIO
 *         cannot read the file; WEFT_ENOTSUP more than 8 388 608 edges; WEFT_ENOMEM.
 * Cost: time proportional to the edges; 8 bytes for each, 40 with rates, and while it is made three
 *         times that.
 */
WEFT_API int weft_topology_open(weft_topology **ret, const char *spec, int size);
/** Free it. NULL-safe, sets *topology to NULL. */
WEFT_API void weft_topology_close(weft_topology **topology);
/** The SPEC with every key spelled out, in a fixed order. Valid until the topology is closed. */
WEFT_API const char *weft_topology_spec(const weft_topology *topology);
/** Number of peers. */
WEFT_API int weft_topology_size(const weft_topology *topology);
/** Number of edges, each counted once. */
WEFT_API size_t weft_topology_edges(const weft_topology *topology);

/**
 * The neighbours of a rank.
 *
 * @param ret_count  how many.
 * @return their ranks, ascending, valid until the topology is closed; NULL, and *ret_count
 * untouched, when rank is out of range.
 */
WEFT_API const int *weft_topology_neighbors(const weft_topology *topology, int rank,
                                            int *ret_count);
/** Fewest and most neighbours of any rank. Either may be NULL. */
WEFT_API void weft_topology_degree(const weft_topology *topology, int *ret_min, int *ret_max);
/**
 * The most edges between two ranks on a shortest way.
 *
 * @return 0; WEFT_ENOTSUP for more than 4096 peers; WEFT_ENOMEM.
 * Cost: about (peers × diameter + edges × a few) × peers / 64 steps: a second at most.
 */
WEFT_API int weft_topology_diameter(const weft_topology *topology, int *ret);
/**
 * Rate and latency of an edge.
 *
 * @param ret_rate     bytes per second; 0: the topology says none.
 * @param ret_latency  seconds; 0 where the topology says none. Either may be NULL.
 * @return 0; WEFT_EINVAL no such edge, or a rank out of range.
 */
WEFT_API int weft_topology_edge(const weft_topology *topology, int a, int b, double *ret_rate,
                                double *ret_latency);

/**
 * A rank's row of the mixing matrix W: Metropolis-Hastings weights.
 *
 * w(i,j) = 1 / (1 + max(degree of i, degree of j)) for neighbours, w(i,i) = 1 - the sum of them in
 * ascending order, 0 elsewhere: symmetric, every row and column sums to 1, all eigenvalues in
 * (-1, 1]. The same bits on every machine, whatever rounding mode the caller has set.
 *
 * @param ret_self       w(rank, rank), above 0.
 * @param ret_neighbors  room for as many weights as rank has neighbours, in their order.
 * @return 0, or WEFT_EINVAL when rank is out of range.
 * Source: Xiao & Boyd 2004, Boyd, Diaconis & Xiao 2004.
 */
WEFT_API int weft_topology_weights(const weft_topology *topology, int rank, double *ret_self,
                                   double *ret_neighbors);
/**
 * 1 - max(|second largest eigenvalue|, |smallest eigenvalue|) of W: of a deviation from the mean,
 * at most 1 - gap is left after a mixing step. In (0, 1]; 1 for a single peer.
 *
 * @return 0; WEFT_ENOTSUP for more than 4096 peers; WEFT_ENOMEM.
 * Cost: peers^3 × 4/3 operations in LAPACK, 8 peers^2 bytes. For people to look at: the last bits
 * depend on the CPU and on OpenBLAS's threads, nothing that peers must agree on may depend on it.
 */
WEFT_API int weft_topology_spectral_gap(const weft_topology *topology, double *ret);
/** A hash of size, edges, weights, rates and latencies, for peers to compare: equal graphs have
 *  equal digests, whatever SPEC they came from. Not against adversaries. */
WEFT_API uint64_t weft_topology_digest(const weft_topology *topology);

/** Read a rate, "100mbit", "1e9", as in an edge list. @param ret bytes per second, 0.125 … 1.25e17.
 *  @return 0 or WEFT_EINVAL. */
WEFT_API int weft_rate_parse(const char *text, double *ret);
/** Read a latency, "50us", "0.001", as in an edge list. @param ret seconds, 0 … 3600. @return 0 or
 *  WEFT_EINVAL. */
WEFT_API int weft_latency_parse(const char *text, double *ret);

/**
 * Rates and latencies between all pairs of peers, from a file.
 *
 * @param path  a file in the form that the head of weft/topology.h tells.
 * @return 0; WEFT_EINVAL malformed, or a pair is missing (named) or told twice with other values;
 *         WEFT_EIO; WEFT_ENOMEM.
 */
WEFT_API int weft_links_open(weft_links **ret, const char *path);
/**
 * The same from arrays.
 *
 * @param size     number of peers, 1 … 1024.
 * @param rate     size × size bytes per second, [from * size + to], 0.125 … 1.25e17; the diagonal
 * is not looked at.
 * @param latency  size × size seconds, 0 … 3600, in the same places.
 * @return 0; WEFT_EINVAL naming the pair; WEFT_ENOMEM.
 */
WEFT_API int weft_links_make(weft_links **ret, int size, const double *rate, const double *latency);
/** Free them. NULL-safe, sets *links to NULL. */
WEFT_API void weft_links_close(weft_links **links);
/** Number of peers. */
WEFT_API int weft_links_size(const weft_links *links);
/** One direction of one pair. @return 0; WEFT_EINVAL from or to out of range, or equal. */
WEFT_API int weft_links_get(const weft_links *links, int from, int to, double *ret_rate,
                            double *ret_latency);

/**
 * An order of the peers in which a ring is fast.
 *
 * A hop between neighbours takes latency + bytes / rate, of the slower direction. One turn, in
 * which every peer sends size messages of so many bytes, takes
 *
 *     max( size × the longest bytes / rate of a hop, sum over the hops of latency + bytes / rate )
 *
 * because a hop carries one message after the other while a message must pass all hops. The order
 * makes that small, then the sum. Heuristic: nearest neighbour tours from several starts, improved
 * by 2-opt and Or-opt moves and kicks (Croes 1958; Or 1976; Martin, Otto & Felten 1991).
 *
 * @param bytes      of one message: of a ring allreduce its vector / size.
 * @param ret_order  room for size ranks; order[i] sends to order[i + 1], the last to the first.
 *                   Begins with rank 0, and its second rank is below its last.
 * @return 0 or WEFT_ENOMEM. The same on every peer for the same links.
 * Cost: 4 size + 256 kicks of some multiple of size steps; a second or two for 512 peers.
 */
WEFT_API int weft_order_ring(const weft_links *links, size_t bytes, int *ret_order);
/** Seconds of one turn (above) of a ring in this order.
 *  @return 0; WEFT_EINVAL order does not hold every rank once; WEFT_ENOMEM. */
WEFT_API int weft_order_ring_cost(const weft_links *links, size_t bytes, const int *order,
                                  double *ret);

/**
 * An order of the peers in which a broadcast or reduction tree is fast.
 *
 * Position 0 is the root. arity 0 is the binomial tree: position v hears from v without its lowest
 * bit, and serves v + m for the powers of two m below that bit (the root: all), largest first.
 * arity k >= 1: position v hears from (v - 1) / k, and serves k v + 1 … k v + k in that order. A
 * peer serves one child after the other, bytes / rate each, and the child has it latency later, in
 * the slower direction; the cost is the time until the last peer has it (a reduction is the mirror
 * image). The order makes that small, then the sum over all hops. Heuristic: a greedy tree for
 * every root, where the position that can be served first takes the peer that it reaches fastest;
 * and the ring order laid along the tree in depth first order, at every rotation, which keeps peers
 * that are near each other in one subtree; the best of both are improved by exchanges of two peers.
 *
 * @param arity      0, or 1 … 65535.
 * @param bytes      of the message.
 * @param ret_order  room for size ranks: order[position] = rank.
 * @return 0; WEFT_EINVAL arity out of range; WEFT_ENOMEM. The same on every peer for the same
 *         links.
 * Cost: at most about 3 size^3 steps; a few seconds for 512 peers, eight times that for 1024.
 */
WEFT_API int weft_order_tree(const weft_links *links, int arity, size_t bytes, int *ret_order);
/** Seconds until the last peer has it (above) in this order.
 *  @return 0; WEFT_EINVAL order does not hold every rank once, arity out of range; WEFT_ENOMEM. */
WEFT_API int weft_order_tree_cost(const weft_links *links, int arity, size_t bytes,
                                  const int *order, double *ret);

#ifdef __cplusplus
}
#endif
#endif
