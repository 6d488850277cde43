/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of algorithm and lane: by closed-form cost under one table of constants, so that every
 * peer chooses alike and the next run does too. Never measured at run time.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "collectives/plan_algo.h"

/* Bytes of a message, one frame of the wire (2 peers on one host, 1 MiB by doubling: messages of 64
 * KiB take 1.4 times as long, for the work that every message costs); the least, where a rank moves
 * many parts; and bytes of what a neighbour sends in a lane. */
static const double message_most = 262144, message_least = 65536, lane_most = 4194304;
/* Bytes of elements that a message is made of. Where encodings are thin, lanes go by what they are
 * made of: coding and sending overlap, and replies wait for a lane, not for half of the vector (8
 * peers at 100 Mbit/s, 16 MiB in 4 bits by scatter: 1 MiB 1.29, 256 KiB 1.17, 128 KiB 1.07 times
 * what the bytes take). */
static const double elements_most = 1048576, thin_most = 131072, thin_least = 8192;
enum { GRAIN = 64 }; /* elements, of even edges */

static const weft_param none[] = {{.key = NULL}};

static size_t round_up(size_t n, size_t unit)
{
    return n / unit * unit + (n % unit ? unit : 0);
}

static weft_shape shape(const weft_pick *p, const weft_choice *c, size_t count)
{
    return (weft_shape){.coll = c->coll,
                        .size = c->size,
                        .count = count,
                        .block = GRAIN,
                        .levels = c->levels,
                        .root = c->root,
                        .ragged = c->ragged,
                        .spec = &p->spec,
                        .host = c->host,
                        .graph = c->graph,
                        .file = p->file};
}

/* Of an element in replies. Those of a vote are signs, as contributions are, those of sparse sums
 * are as sparse. */
static double reply_bytes(const weft_algo *a, const weft_choice *c)
{
    if ((a->needs & WEFT_NEEDS_SIGNS) || (a->traits & WEFT_ALGO_SPLITS))
        return c->encoded_bytes;
    return c->reply_bytes > 0 ? c->reply_bytes : (double)c->element_bytes;
}

/* Most bytes that an element takes in any message. */
static double widest(const weft_algo *a, const weft_choice *c)
{
    const double element = reply_bytes(a, c);
    return (a->traits & WEFT_ALGO_REPLIES) && element > c->encoded_bytes ? element
                                                                         : c->encoded_bytes;
}

/* A lane's parts (spans, or whole lanes of a block): into how many it is cut, how many a message
 * joins, how many the busiest rank sends or receives. */
typedef struct parts {
    double cut, joined, moved;
} parts;

static parts parts_of(const weft_pick *p, const weft_choice *c)
{
    const weft_algo *a = p->algo;
    weft_shape s = shape(p, c, 0);
    const int cut = a->parts ? a->parts(&s) : 1;

    s.count = (size_t)cut * GRAIN; /* all alike */
    return (parts){.cut = cut,
                   .joined = a->joins ? a->joins(&s) : 1,
                   .moved = a->cost(&s, 1, 1).bytes / GRAIN};
}

/* The lane is cut, and all that travels is less than half as long as what it is made of. */
static bool thin(const weft_choice *c, const parts *k, double width)
{
    return k->cut > 1 && 2 * width < (double)c->element_bytes;
}

/* Bytes of a part that a message holds alone, or joins with others. */
static double part_bytes(const parts *k, double least)
{
    double bytes = message_most;

    if (k->moved > 0 && bytes > lane_most / k->moved * k->joined)
        bytes = lane_most / k->moved * k->joined;
    bytes = bytes < least ? least : bytes;
    return bytes / k->joined;
}

size_t weft_lane_length(const weft_pick *p, const weft_choice *c, size_t block)
{
    const size_t count = c->count ? (size_t)c->count : 1;
    const double width = widest(p->algo, c);
    const parts k = parts_of(p, c);
    const bool lean = thin(c, &k, width);
    const double all = lean ? thin_most : elements_most;
    double most = all / (double)c->element_bytes / k.joined;
    double elements = part_bytes(&k, lean ? thin_least : message_least) / width;

    if (lean && most < thin_least / width) /* a header is to be a small part of it */
        most = thin_least / width;
    if (block == 0)
        return count;
    if (elements > most)
        elements = most;
    const size_t whole = round_up(count, block), cut = (size_t)k.cut;
    if (elements * k.cut >= (double)count)
        return whole;

    /* Edges of the lane and of its parts lie on blocks, unless parts of one block are too long. */
    const size_t grain = round_up(GRAIN, block);
    const size_t part = (size_t)elements / grain * grain;
    const size_t unit = part ? grain * cut : block;
    const size_t fits = (size_t)(elements * k.cut) / block * block;
    const size_t lane = part ? part * cut : fits ? fits : block;
    const size_t lanes = count / lane + (count % lane != 0);
    return round_up(count / lanes + (count % lanes != 0), unit);
}

/* Bytes that must go one behind the other: those of the busiest rank and, of one lane, what a chain
 * of messages that wait for one another is longer. (The other lanes follow it closely.) */
static double serial_bytes(const weft_cost *k, double lanes)
{
    const double chain = k->messages > 0 ? k->rounds * (k->bytes / k->messages) : 0;

    return k->bytes + (chain > k->bytes ? (chain - k->bytes) / lanes : 0);
}

void weft_algo_price(const weft_pick *p, const weft_choice *c, weft_price *ret)
{
    const weft_costs *costs = c->costs ? c->costs : weft_costs_among(c->host, c->size);
    const size_t count = (size_t)c->count, lane = weft_lane_length(p, c, GRAIN);
    const size_t whole = count / lane;
    const double lanes = count ? (double)(whole + (count % lane != 0)) : 1;
    const weft_shape s = shape(p, c, count);
    const weft_cost k = p->algo->cost(&s, c->encoded_bytes, reply_bytes(p->algo, c));
    const double shared = k.peers > 1 ? (k.peers - 1) / k.peers : 0,
                 serial = serial_bytes(&k, lanes);

    *ret = (weft_price){.cost = k,
                        .serial_bytes = serial,
                        .round_s = k.rounds * costs->round_s,
                        .message_s = lanes * k.messages * costs->message_s,
                        .byte_s = serial * costs->byte_s * (1 + costs->incast * shared),
                        .reduce_s = k.reduced_bytes * costs->reduce_s};
    ret->seconds = ret->round_s + ret->message_s + ret->byte_s + ret->reduce_s;
}

static double price(const weft_pick *p, const weft_choice *c)
{
    weft_price all;

    weft_algo_price(p, c, &all);
    return all.seconds;
}

/* What the algorithm needs and the codec is not; NULL: nothing. */
static const char *codec_lacks(const weft_algo *a, const weft_choice *c)
{
    const uint32_t needs = a->needs, has = c->traits;

    if ((needs & WEFT_NEEDS_MERGE) && !(has & WEFT_CODEC_MERGES))
        return "combines encodings, which this codec cannot do without coding again";
    if ((needs & WEFT_NEEDS_ELEMENTS) && !(has & WEFT_CODEC_LOSSLESS))
        return "weighs encodings, which this codec cannot do without coding again";
    if ((needs & WEFT_NEEDS_SHARED) && !c->levels)
        return "adds levels of a scale that all share: codec qsgd with norm=max, or tern";
    if ((needs & WEFT_NEEDS_SIGNS) && !c->signs)
        return "counts signs: codec sign:scaled=no";
    if ((needs & WEFT_NEEDS_PAIRS) && !(has & WEFT_CODEC_SELECTS))
        return "selects from sums of sparse vectors: codec topk or threshold";
    if ((a->traits & WEFT_ALGO_SELECTS) && !c->adds_pairs)
        return "adds sparse vectors, which this codec would round twice: values=f32";
    if ((a->traits & WEFT_ALGO_SPLITS) && !c->cuts_pairs)
        return "cuts the selection into spans: codec topk";
    if ((needs & WEFT_NEEDS_LOSSY) && (has & (WEFT_CODEC_LOSSLESS | WEFT_CODEC_WHOLE)))
        return "encodes sums again, part by part, which goes with no codec that loses nothing or "
               "takes the vector as a whole";
    if ((needs & WEFT_NEEDS_LOSSY) && (has & WEFT_CODEC_COMMON))
        return "encodes sums again, which this codec would do with the draws that made them";
    if ((has & WEFT_CODEC_WHOLE) && a->parts && !(a->traits & WEFT_ALGO_SPLITS))
        return "cuts the vector, which this codec encodes as a whole";
    return NULL;
}

static bool requantizes(const weft_algo *a)
{
    return (a->needs & WEFT_NEEDS_LOSSY) != 0;
}

bool weft_algo_owns(const weft_algo *a)
{
    return (a->traits & WEFT_ALGO_REPLIES) != 0 && (a->needs & WEFT_NEEDS_SIGNS) == 0;
}

const char *weft_algo_fidelity(const weft_algo *a, bool replies_lossy)
{
    const bool again = replies_lossy && (a->traits & WEFT_ALGO_REPLIES);

    return a->traits & (WEFT_ALGO_SELECTS | WEFT_ALGO_SPLITS) ? "merged"
           : a->needs & WEFT_NEEDS_SIGNS                      ? "voted"
           : requantizes(a) || again                          ? "requantized"
                                                              : "exact";
}

void weft_algo_reserve(const weft_pick *p, const weft_choice *c, char *text, size_t cap)
{
    weft_algo_objection(p, c, text, cap);
    if (text[0] == '\0' && (p->algo->traits & WEFT_ALGO_NAMED))
        snprintf(text, cap, "is for those who name it");
    else if (text[0] == '\0' && requantizes(p->algo) && c->fidelity != WEFT_FIDELITY_REQUANTIZED)
        snprintf(text, cap, "encodes sums again: fidelity requantized");
    else if (text[0] == '\0' && requantizes(p->algo) && c->once)
        snprintf(text, cap,
                 "encodes sums again, which a biased codec is not for without a residual, nor "
                 "where own is asked for");
    else if (text[0] == '\0' && c->owned && !weft_algo_owns(p->algo))
        snprintf(text, cap, "leaves nobody the owner of a span, as owned asks for");
}

void weft_algo_objection(const weft_pick *p, const weft_choice *c, char *text, size_t cap)
{
    const weft_shape s = shape(p, c, (size_t)c->count);
    const char *lacks;

    assert(p->algo);
    text[0] = '\0';
    lacks = codec_lacks(p->algo, c);
    if (lacks)
        snprintf(text, cap, "%s", lacks);
    else if (c->fidelity == WEFT_FIDELITY_EXACT &&
             strcmp(weft_algo_fidelity(p->algo, false), "exact") != 0)
        snprintf(text, cap, "gives a result that is %s, which fidelity exact rules out",
                 weft_algo_fidelity(p->algo, false));
    else if (c->reply_asked && !(p->algo->traits & WEFT_ALGO_REPLIES))
        snprintf(text, cap, "sends no replies, for which there is a codec");
    else if (c->reply_asked &&
             ((p->algo->needs & WEFT_NEEDS_SIGNS) || (p->algo->traits & WEFT_ALGO_SPLITS)))
        snprintf(text, cap, "has replies of its own, and takes no codec for them");
    else if (c->ordered && !(p->algo->traits & WEFT_ALGO_ORDERED))
        snprintf(
            text, cap,
            "combines in another order than that of ranks, and the operation does not commute");
    else if (c->graph && !(p->algo->traits & WEFT_ALGO_GRAPH) && !p->file) /* a file looks itself */
        snprintf(text, cap, "talks to peers that are no neighbours in the topology");
    else if (p->algo->refuses)
        p->algo->refuses(&s, text, cap);
}

static int pick(const weft_algo *a, const char *spec, weft_pick *ret)
{
    const weft_param *params = a->params ? a->params : none;
    int rc;

    ret->algo = a;
    ret->file = NULL;
    if ((rc = weft_spec_parse(weft_coll_name(a->coll), spec, params, &ret->spec)))
        return rc;
    weft_spec_format(&ret->spec, params, ret->text, sizeof ret->text);
    return WEFT_OK;
}

void weft_pick_free(weft_pick *p)
{
    weft_plan_algo_unref(p->file);
    p->file = NULL;
}

static int open_file(const weft_choice *c, weft_pick *p)
{
    const int rc = weft_plan_algo_open(c->files, weft_spec_text(&p->spec, 0), &p->file);

    if (rc)
        return weft_fail_context("%s", weft_coll_name(c->coll));
    p->algo = weft_plan_algo_row(p->file);
    weft_plan_algo_name(p->file, p->text, sizeof p->text);
    return WEFT_OK;
}

int weft_algo_read(const char *spec, const weft_choice *c, weft_pick *ret)
{
    char name[WEFT_SPEC_NAME];
    weft_pick p = {0};
    int rc = weft_spec_name(spec, name);

    if (rc) {
        (void)weft_fail_context("%s: algorithm", weft_coll_name(c->coll));
        return rc;
    }
    if ((rc = weft_algo_find(c->coll, name, &p.algo)) || (rc = pick(p.algo, spec, &p)) ||
        (p.algo == weft_plan_algo_blank(c->coll) && (rc = open_file(c, &p))))
        return rc;
    p.seconds = -1;
    *ret = p;
    return WEFT_OK;
}

bool weft_algo_candidate(int index, const weft_choice *c, weft_pick *ret)
{
    const weft_algo *a;
    char objection[160];

    for (int i = 0; (a = weft_algo_at(i)); i++) {
        if (a->coll != c->coll || index-- > 0)
            continue;
        if (pick(a, a->name, ret))
            return false;
        weft_algo_reserve(ret, c, objection, sizeof objection);
        ret->seconds = objection[0] ? -1 : price(ret, c);
        return true;
    }
    return false;
}

static int choose(const weft_choice *c, weft_pick *ret)
{
    char objection[160], all[400] = "";
    bool found = false;
    weft_pick p;

    for (int i = 0; weft_algo_candidate(i, c, &p); i++) {
        if (p.seconds < 0) {
            const size_t len = strlen(all);
            weft_algo_reserve(&p, c, objection, sizeof objection);
            snprintf(all + len, sizeof all - len, "%s%s %s", len ? "; " : "", p.algo->name,
                     objection);
        } else if (!found || p.seconds < ret->seconds) {
            *ret = p;
            found = true;
        }
    }
    return found ? WEFT_OK
                 : weft_fail(WEFT_ENOTSUP, "%s: no algorithm serves: %s", weft_coll_name(c->coll),
                             all);
}

int weft_algo_select(const char *spec, const weft_choice *c, weft_pick *ret)
{
    char objection[160];
    weft_pick p = {0};
    int rc;

    if (c->size < 1 || c->element_bytes == 0 || !(c->encoded_bytes >= 0))
        return weft_fail(WEFT_EINVAL, "%s of %d peers, elements of %zu bytes encoded as %g",
                         weft_coll_name(c->coll), c->size, c->element_bytes, c->encoded_bytes);
    if (!spec || strcmp(spec, "auto") == 0) {
        if ((rc = choose(c, &p)))
            return rc;
        *ret = p;
        return WEFT_OK;
    }
    if ((rc = weft_algo_read(spec, c, &p)))
        return rc;
    weft_algo_objection(&p, c, objection, sizeof objection);
    if (objection[0]) {
        weft_pick_free(&p);
        return weft_fail(WEFT_ENOTSUP, "%s: algorithm %s %s", weft_coll_name(c->coll), p.text,
                         objection);
    }
    p.seconds = price(&p, c);
    *ret = p;
    return WEFT_OK;
}
