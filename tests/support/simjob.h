/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ranks of a simulated group call, and what must come of it: requests as the group makes
 * them, inputs that are a function of seed, call, rank and element, and an oracle that knows the
 * result without plans or messages.
 */
#ifndef WEFT_TESTS_SUPPORT_SIMJOB_H
#define WEFT_TESTS_SUPPORT_SIMJOB_H

#include "group/call.h"
#include "support/simnet.h"

/* Blocks of lengths of their own (allgatherv and its like), none longer than count. */
typedef enum simjob_lengths {
    SIMJOB_ALIKE, /* count each */
    SIMJOB_MIXED, /* any, a quarter of them nothing */
    SIMJOB_ONE,   /* one has count, the others nothing */
} simjob_lengths;

/* A call. */
typedef struct simjob_call {
    weft_coll coll;
    weft_dtype dtype;
    weft_op op;
    int root;
    uint64_t count;
    simjob_lengths lengths;
    bool gaps; /* something lies between the blocks, else offsets are NULL */
    /* Of alltoallv: the rank says that it sends so many more to that one, or, below 0, that so many
     * more come of it. */
    int more_of, more;
    uint64_t lane;     /* elements of a lane; 0: as the library chooses */
    const char *algo;  /* NULL: as the library chooses */
    const char *codec; /* NULL: raw */
    bool in_place, own, residual;
    bool real;          /* inputs are fractions: raw sums round, and are not foretold to the bit */
    int64_t timeout_ms; /* WEFT_FOREVER, or above 0 */
} simjob_call;

/* A call as one rank made it. */
typedef struct simjob_part {
    simjob_call call;
    uint32_t number; /* of the operation */
    weft_request *request;
    char *memory, *image; /* of input and output; how it was before the call */
    size_t bytes;         /* of either */
    char *in, *out;       /* NULL: it has none, or none that holds anything */
    size_t in_counts[SIMNET_RANKS], in_offsets[SIMNET_RANKS];
    size_t out_counts[SIMNET_RANKS], out_offsets[SIMNET_RANKS];
    float *own, *residual, *residual_before;
    weft_receipt receipt;
    bool ended;
    int times; /* it was reported to have ended */
} simjob_part;

enum { SIMJOB_CALLS = 128 };

typedef struct simjob {
    int size;
    uint64_t seed, keys;     /* of the inputs; of the codecs' random numbers */
    int ranks[SIMNET_RANKS]; /* in the simulated net, of each rank of this job */
    weft_group groups[SIMNET_RANKS];
    simjob_part parts[SIMJOB_CALLS][SIMNET_RANKS];
    simnet *chain; /* set: a rank makes its next call when the one before it has ended */
    char wrong[256];
} simjob;

simjob *simjob_open(int size, uint64_t seed);
/* Of a group of some ranks of the net, by rank in the group. */
simjob *simjob_open_in(int size, const int *ranks, uint64_t seed, uint64_t keys);
void simjob_close(simjob **job);

/* simnet_opts.ended; user is the job, rank that in the net. Requests of others are left alone. */
void simjob_ended(void *user, int rank, weft_request *r);

/* The request of a rank's call; index counts the rank's calls from 0, and is the operation's number
 * less 1. NULL: out of memory (the only way to fail). */
weft_request *simjob_make(simjob *job, int rank, int index, const simjob_call *call);

/* Whether the successful part's result is that of the call made by all ranks; "" or what is wrong.
 * Also own, residual and receipt, and that the input is as it was where it is not the output. */
const char *simjob_result(simjob *job, int rank, int index);
/* After a failure: input and residual must be untouched out of place. */
const char *simjob_untouched(simjob *job, int rank, int index);
/* Hash of the output's bytes. */
uint64_t simjob_bits(const simjob *job, int rank, int index);

/* The algorithms of a collective; NULL behind the last. */
const weft_algo *simjob_algo(weft_coll coll, int i);
/* The collectives of groups without a graph, by number; how many there are. */
enum { SIMJOB_COLLS = WEFT_COLL_COUNT - 1 };
weft_coll simjob_coll(int i);
bool simjob_knows(weft_coll coll); /* it is one of them */
/* Do all ranks end with the same elements? */
bool simjob_alike(weft_coll coll);

/* For simjob_check.c. */
/* Element i of a block of a rank's input. */
double simjob_input(const simjob *job, const simjob_call *c, int index, int rank, uint32_t block,
                    uint64_t i);
double simjob_get(weft_dtype dtype, const void *v, uint64_t i);
int simjob_out_blocks(const simjob *job, const simjob_part *p); /* 0: it has no output */
void *simjob_memory(size_t bytes);

#endif
