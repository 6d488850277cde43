/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of algorithm and lane: by closed-form cost under one constant table, so that every
 * peer chooses alike and the next run does too. Never measured at run time.
 *
 * The table, from measurements of ZeroMQ over loopback tcp on 2 shared cores (AMD EPYC, Zen 4) and
 * on links shaped to 1 Gbit/s:
 *  - a message of 1 KiB that is waited for takes 60 us (recursive doubling, 2 peers): 40 us pass
 *    until it is there, 20 us of work at the sender, which a rank that sends many pays for each
 *    (4 peers, 16 KiB: 6 messages in a row 511 us, 6 messages in 2 rounds 380 us);
 *  - a peer sends 0.8 to 1.5 GB/s (2 and 4 peers, ring, 4 and 64 MiB);
 *  - decoding and adding floats reads 8 GB/s or more of a vector that lies in memory;
 *  - a rank that 7 peers send to at once loses 3 to 8 % (8 peers, direct exchange against ring).
 */
#include <string.h>

#include "base/status.h"
#include "collectives/algo.h"

static const double round_s = 40e-6;      /* until a message is there */
static const double message_s = 20e-6;    /* work of sending one */
static const double byte_s = 1.0 / 1e9;   /* sent by one peer */
static const double reduce_s = 1.0 / 8e9; /* a byte combined */
static const double incast = 0.01;        /* share of the sending time, for each peer but one */

/* Bytes of a message, and of what a neighbour sends in a lane. */
static const double message_least = 65536, message_most = 262144, lane_most = 4194304;
static const double elements_most = 1048576; /* bytes of elements that one message is made of */
enum { SPLIT = 8, GRAIN = 64 };              /* messages of a segment; elements, of even edges */

static size_t round_up(size_t n, size_t unit)
{
    return n / unit * unit + (n % unit ? unit : 0);
}

static weft_shape shape(const weft_choice *c, size_t count)
{
    return (weft_shape){.coll = c->coll, .size = c->size, .count = count, .block = GRAIN};
}

/* Most bytes that an element takes in any message. */
static double widest(const weft_algo *a, const weft_choice *c)
{
    const double element = (double)c->element_bytes;
    return (a->traits & WEFT_ALGO_REPLIES) && element > c->encoded_bytes ? element
                                                                         : c->encoded_bytes;
}

/* Bytes of a message where the vector in a single lane would make messages of segment bytes. */
static double message_bytes(const weft_algo *a, const weft_choice *c, double segment)
{
    const weft_shape s = shape(c, 0);
    const double messages = a->cost(&s, 1, 1).messages;
    double bytes = segment / SPLIT;

    bytes = bytes > message_most ? message_most : bytes;
    if (messages > 0 && bytes > lane_most / messages)
        bytes = lane_most / messages;
    return bytes < message_least ? message_least : bytes;
}

size_t weft_lane_length(const weft_algo *a, const weft_choice *c, size_t block)
{
    const size_t count = c->count ? (size_t)c->count : 1;
    const size_t parts = a->traits & WEFT_ALGO_PARTS ? (size_t)c->size : 1;
    const double width = widest(a, c), segment = (double)count / (double)parts * width;
    const double bytes = message_bytes(a, c, segment);
    double elements = bytes / width;

    if (block == 0)
        return count;
    if (elements > elements_most / (double)c->element_bytes)
        elements = elements_most / (double)c->element_bytes;
    const size_t whole = round_up(count, block);
    if (elements * (double)parts >= (double)count)
        return whole;

    /* Edges of the lane and of its parts lie on blocks, unless parts of one block are too long. */
    const size_t grain = round_up(GRAIN, block);
    const size_t part = (size_t)elements / grain * grain;
    const size_t unit = part ? grain * parts : block;
    const size_t fits = (size_t)(elements * (double)parts) / block * block;
    const size_t lane = part ? part * parts : fits ? fits : block;
    const size_t lanes = count / lane + (count % lane != 0);
    return round_up(count / lanes + (count % lanes != 0), unit);
}

/* Seconds the operation is thought to take. Lanes overlap: only one waits its rounds. */
static double price(const weft_algo *a, const weft_choice *c)
{
    const size_t count = (size_t)c->count, lane = weft_lane_length(a, c, GRAIN);
    const size_t whole = count / lane;
    const double lanes = count ? (double)(whole + (count % lane != 0)) : 1;
    const weft_shape s = shape(c, count);
    const weft_cost k = a->cost(&s, c->encoded_bytes, (double)c->element_bytes);
    const double others = k.peers > 1 ? k.peers - 1 : 0;

    return k.rounds * round_s + lanes * k.messages * message_s +
           k.bytes * byte_s * (1 + incast * others) + k.reduced_bytes * reduce_s;
}

/* Why the algorithm cannot serve; NULL: it can. */
static const char *unfit(const weft_algo *a, const weft_choice *c)
{
    if ((a->needs & WEFT_NEEDS_MERGE) && !(c->traits & WEFT_CODEC_MERGES))
        return "combines encodings, which this codec cannot do without coding again";
    if (c->ordered && !(a->traits & WEFT_ALGO_ORDERED))
        return "combines in another order than that of ranks, and the operation does not commute";
    return NULL;
}

int weft_algo_select(const char *name, const weft_choice *c, const weft_algo **ret)
{
    const weft_algo *best = NULL, *a;
    const char *who = "this build", *why = "has none";
    double least = 0;
    int rc;

    if (c->size < 1 || c->element_bytes == 0 || !(c->encoded_bytes >= 0))
        return weft_fail(WEFT_EINVAL, "%s of %d peers, elements of %zu bytes encoded as %g",
                         weft_coll_name(c->coll), c->size, c->element_bytes, c->encoded_bytes);
    if (name && strcmp(name, "auto") != 0) {
        if ((rc = weft_algo_find(c->coll, name, &a)))
            return rc;
        if (unfit(a, c))
            return weft_fail(WEFT_ENOTSUP, "%s: algorithm %s %s", weft_coll_name(c->coll), name,
                             unfit(a, c));
        *ret = a;
        return WEFT_OK;
    }
    for (int i = 0; (a = weft_algo_at(i)); i++) {
        if (a->coll != c->coll)
            continue;
        if (unfit(a, c)) {
            who = a->name;
            why = unfit(a, c);
            continue;
        }
        const double seconds = price(a, c);
        if (!best || seconds < least) {
            best = a;
            least = seconds;
        }
    }
    if (!best)
        return weft_fail(WEFT_ENOTSUP, "%s: no algorithm serves this call: %s %s",
                         weft_coll_name(c->coll), who, why);
    *ret = best;
    return WEFT_OK;
}
