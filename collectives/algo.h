/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collective algorithm: a pure function from (rank, size, count) to a plan, with its price.
 * A row of collectives.def and one file each.
 */
#ifndef WEFT_COLLECTIVES_ALGO_H
#define WEFT_COLLECTIVES_ALGO_H

#include <stddef.h>
#include <stdint.h>

#include "base/spec.h"
#include "codec/traits.h"
#include "plan/plan.h"
#include "plan/plan_verify.h"
#include <weft/collective.h>
#include <weft/info.h>

typedef enum weft_coll {
    WEFT_COLL_ALLREDUCE,
    WEFT_COLL_REDUCE,
    WEFT_COLL_BROADCAST,
    WEFT_COLL_ALLGATHER,
    WEFT_COLL_GATHER,
    WEFT_COLL_SCATTER,
    WEFT_COLL_REDUCE_SCATTER,
    WEFT_COLL_ALLTOALL,
    WEFT_COLL_NEIGHBOR_AVERAGE,
    WEFT_COLL_BARRIER,
    WEFT_COLL_TRANSFER, /* from the root to the other one of two: send and receive */
    WEFT_COLL_COUNT
} weft_coll;

const char *weft_coll_name(weft_coll coll); /* "allreduce" */
bool weft_coll_reduces(weft_coll coll);     /* combines contributions under an operation */
bool weft_coll_rooted(weft_coll coll);      /* one rank has the input or the output */
/* Blocks of count elements in the input and in the output: 1, or size. */
int weft_coll_in_blocks(weft_coll coll, int size);
int weft_coll_out_blocks(weft_coll coll, int size);

typedef struct weft_topology weft_topology;     /* topology/topology.h */
typedef struct weft_plan_algo weft_plan_algo;   /* plan_algo.h */
typedef struct weft_plan_files weft_plan_files; /* plan_algo.h */

/* What a builder may look at. */
typedef struct weft_shape {
    weft_coll coll;
    int rank, size;
    size_t count; /* elements of the lane (of one block where there are blocks) */
    size_t block; /* codec block in elements: spans are cut on its edges while there are at least
                     `size` blocks in the lane, else on multiples of 8 elements; 0: one block */
    bool whole_blocks; /* cut on edges of blocks only, even if some spans are empty then */
    unsigned levels; /* s of integers -s … s that are added up on the way; 0: what travels has one
                        width. For costs */
    int root;        /* of collectives with a root, else 0 */
    bool ragged; /* blocks have lengths of their own, of which count is the longest; a rank knows
                    only the lengths of blocks that it sends or receives itself */
    const weft_spec *spec; /* the algorithm's parameters; NULL: their defaults */
    const int *host;       /* per rank the number of its host, 0 … size-1; NULL: all on one */
    const int *order;      /* the rank at each place of the algorithm; NULL: rank i at place i.
                              weft_algo_build() sees to it, builders do not look at it */
    const uint64_t *cuts;  /* of weft_part()'s spans the first elements, and count; NULL: evenly */
    const weft_topology *graph; /* who may talk to whom; NULL: everybody to everybody */
    weft_plan_algo *file;       /* of algorithm `plan`: the pick's file, borrowed; else NULL */
} weft_shape;

/* Needs of an algorithm. */
enum {
    WEFT_NEEDS_MERGE = 1u << 0,    /* folds or merges encodings: codec trait MERGES */
    WEFT_NEEDS_ELEMENTS = 1u << 1, /* scales encodings: they must be the elements, trait LOSSLESS */
    WEFT_NEEDS_SHARED = 1u << 2,   /* levels of a scale that all peers agree on: SHARES */
    WEFT_NEEDS_SIGNS = 1u << 3,    /* counts signs: codec sign */
    WEFT_NEEDS_PAIRS = 1u << 4,    /* selects from sums: SELECTS */
    WEFT_NEEDS_LOSSY = 1u << 5,    /* encodes sums again */
};

/* What an algorithm does. */
enum {
    WEFT_ALGO_REPLIES = 1u << 0, /* sends elements too, not only encodings */
    WEFT_ALGO_GRAPH = 1u << 1,   /* talks along the edges of shape.graph only */
    WEFT_ALGO_RING = 1u << 3,    /* a rank talks to the ranks beside it: takes the ring order */
    WEFT_ALGO_TREE = 1u << 4,  /* goes along a tree from rank 0 or the root: takes the tree order */
    WEFT_ALGO_NAMED = 1u << 5, /* only where it is asked for: it means something of its own */
    WEFT_ALGO_SELECTS = 1u << 6, /* its merges keep the largest only */
    WEFT_ALGO_SPLITS = 1u << 7,  /* a selection is cut into spans, of whose sums the largest stay */
    WEFT_ALGO_ORDERED = 1u << 2, /* combines contributions in the order of its places, so that it
                                    serves operations that do not commute where shape.order is NULL
                                  */
};

/* A price, for one lane, where an encoded element takes `width` bytes on the way up (own
 * contributions) and `reply` bytes on the way down (raw replies of scatter). Each figure is the
 * most any rank has, whichever rank that is; the tests hold them against what plan_sim counts. */
typedef struct weft_cost {
    double rounds;        /* messages that wait for one another */
    double messages;      /* sent or received by a rank, whichever is more */
    double bytes;         /* bodies sent or received by a rank, whichever is more */
    double reduced_bytes; /* bytes of encodings that a rank folds, merges and adds */
    double peers;         /* from which a rank receives */
} weft_cost;

typedef struct weft_algo {
    weft_coll coll;
    const char *name, *summary, *source;
    const char *formula; /* of rounds and bytes, for people: "2(P-1) rounds, 2(P-1)/P n bytes" */
    uint32_t needs;      /* WEFT_NEEDS_… */
    uint32_t traits;     /* WEFT_ALGO_… */
    const weft_param *params; /* ends with key NULL; NULL: it has none */
    /* true: it cannot serve a shape (rank apart), and why: "needs …". NULL: it serves all. */
    bool (*refuses)(const weft_shape *s, char *why, size_t cap);
    /* Into how many spans it cuts its lane; NULL: its messages hold the lane. Where spans are
     * joined it may say so of the longest message: that holds the parts-th part of the lane. */
    int (*parts)(const weft_shape *s);
    /* How many lanes of blocks its longest message joins, at least 1; NULL: 1. */
    int (*joins)(const weft_shape *s);
    weft_cost (*cost)(const weft_shape *s, double width, double reply);
    /* Fill a plan that weft_plan_init() made of rank, size and count, and check it. */
    int (*build)(weft_plan *p, const weft_shape *s);
} weft_algo;

/* Of a shape its parameter at that place of the algorithm's table. */
double weft_shape_number(const weft_shape *s, const weft_param *params, int index);
/* The same of a word: which of its choices. The default is the first of them. */
int weft_shape_choice(const weft_shape *s, int index);
/* For `parts` of algorithms that cut a lane into a span for each rank. */
int weft_parts_size(const weft_shape *s);

/* The greater of each figure: the price of an algorithm from those of its ranks. */
void weft_cost_most(weft_cost *most, const weft_cost *one);

/* The plan of one rank for one lane: checks the shape, initializes *ret, builds. On failure there
 * is nothing to free. 0; WEFT_EINVAL; WEFT_ENOTSUP the algorithm refuses the shape; WEFT_ENOMEM;
 * WEFT_EINTERNAL a builder's mistake. */
int weft_algo_build(const weft_algo *a, const weft_shape *s, weft_plan *ret);

/* What the plans of all ranks have to reach, for weft_plan_verify(). */
weft_goal weft_shape_goal(const weft_shape *s);
/* The same of this algorithm's plans, which its traits may promise more of: rank order. */
weft_goal weft_algo_goal(const weft_algo *a, const weft_shape *s);

/* Constants of the cost model. The same on every peer. */
typedef struct weft_costs {
    double round_s;   /* until a message is there */
    double message_s; /* of the sender's, or receiver's, work for a message */
    double byte_s;    /* a byte sent or received by one peer */
    double reduce_s;  /* a byte combined */
    double incast;    /* share of the sending time that (peers - 1) / peers of is added, of peers
                         that send to a rank */
} weft_costs;

/* Those of peers on one host, and of others. */
extern const weft_costs weft_costs_host, weft_costs_network;
/* host: as in weft_shape; NULL: all on one. */
const weft_costs *weft_costs_among(const int *host, int size);
/* "round=40e-6,message=60e-6,byte=1e-9,reduce=1.25e-10,incast=0.35", any of them; the rest as in
 * `rest`. 0 or WEFT_EINVAL. */
int weft_costs_parse(const char *text, const weft_costs *rest, weft_costs *ret);

/* Row of the table by position, NULL behind the last. */
const weft_algo *weft_algo_at(int index);
/* By collective and name; "plan" gives a row that is of use when a file is open (plan_algo.h). 0;
 * WEFT_EINVAL that lists the names there are. */
int weft_algo_find(weft_coll coll, const char *name, const weft_algo **ret);

/* What the choice depends on: nothing else, so that every peer chooses alike. */
typedef struct weft_choice {
    weft_coll coll;
    int size;
    uint64_t count;       /* elements of the whole vector */
    size_t element_bytes; /* of the dtype */
    double encoded_bytes; /* of one element as encoded, on average (the codec's bound / count) */
    double reply_bytes;   /* of one element in replies; 0: element_bytes */
    uint32_t traits;      /* of the codec */
    unsigned levels;      /* as in weft_shape */
    bool signs;           /* the codec sends nothing but signs */
    bool adds_pairs;      /* sums of its sparse vectors are encoded without rounding */
    bool cuts_pairs;      /* its selection can be cut into spans: weft_codec_region() */
    bool reply_asked;     /* for replies a codec was asked for */
    bool once;            /* sums are not to be encoded again, whatever the fidelity */
    bool owned;           /* the sums that owners of spans make are asked for */
    weft_fidelity fidelity;
    bool ordered; /* the operation does not commute */
    bool ragged;
    int root;
    const int *host;            /* as in weft_shape */
    const weft_topology *graph; /* as in weft_shape */
    const weft_costs *costs;    /* NULL: as peers are placed */
    weft_plan_files *files;     /* where the files of algorithm `plan` stay open; NULL: a pick opens
                                   its own */
} weft_choice;

/* What was chosen. */
typedef struct weft_pick {
    const weft_algo *algo;
    weft_spec spec;            /* its parameters */
    char text[WEFT_SPEC_TEXT]; /* the same in words: "ring", "tree:arity=2"; equal on all peers that
                                  do the same: "plan(0f1e...)" wherever the file lies */
    double seconds;            /* that the operation is thought to take */
    weft_plan_algo *file;      /* of algorithm `plan`, held until weft_pick_free(); else NULL. A
                                  shape made of the pick has spec and file of it */
} weft_pick;

/* What a pick holds; for picks of any algorithm, once. */
void weft_pick_free(weft_pick *p);

/* What the seconds are made of. Lanes overlap: only one waits its rounds. */
typedef struct weft_price {
    weft_cost cost;      /* of the vector as a single lane */
    double serial_bytes; /* that go one behind the other, in all lanes: cost.bytes or more */
    double seconds, round_s, message_s, byte_s, reduce_s; /* the first: the sum of the others */
} weft_price;

void weft_algo_price(const weft_pick *p, const weft_choice *c, weft_price *ret);
/* The algorithm that a SPEC names, its file read and proved if it has one, whether it fits or not;
 * of c only coll and files are looked at. 0; WEFT_EINVAL no such algorithm or parameter; of a file
 * what weft_plan_algo_open() says. */
int weft_algo_read(const char *spec, const weft_choice *c, weft_pick *ret);
/* Resolve a SPEC ("auto" or NULL: the cheapest that fits, never one from a file). 0; as
 * weft_algo_read(); WEFT_ENOTSUP it does not fit, with the reason. */
int weft_algo_select(const char *spec, const weft_choice *c, weft_pick *ret);
/* Why the algorithm cannot serve, in words; "": it can. */
void weft_algo_objection(const weft_pick *p, const weft_choice *c, char *text, size_t cap);
/* The same, or why it is not for "auto" to choose. */
void weft_algo_reserve(const weft_pick *p, const weft_choice *c, char *text, size_t cap);
/* Does each span have an owner, who alone knows its sum before all get it? */
bool weft_algo_owns(const weft_algo *a);
/* "exact", "requantized", "merged", "voted": what the algorithm makes of contributions. */
const char *weft_algo_fidelity(const weft_algo *a, bool replies_lossy);
/* The index-th algorithm of the collective with its default parameters and its price, whether it
 * fits or not. false: there is none. */
bool weft_algo_candidate(int index, const weft_choice *c, weft_pick *ret);

/* Elements of a lane, at least 1, a pure function too: a multiple of `block` (0: the whole vector
 * is one lane), such that a message (with all it joins) holds an eighth of what it would hold in a
 * single lane, but 64 to 256 KiB and at most 1 MiB of elements (where encodings are less than half
 * as long, from 8 KiB and at most 128 KiB of elements), and that a rank sends, or receives,
 * about 4 MiB a lane at most, all where block and number of peers allow. Lanes are even: none is a
 * small rest. */
size_t weft_lane_length(const weft_pick *p, const weft_choice *c, size_t block);

#endif
