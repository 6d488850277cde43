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

/* A call. */
typedef struct simjob_call {
    weft_coll coll;
    weft_dtype dtype;
    weft_op op;
    int root;
    uint64_t count;
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
    char *memory; /* of input and output */
    char *in, *out;
    char *before; /* the input as it was */
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

/* Elements of a rank's output. */
uint64_t simjob_outs(const simjob *job, const simjob_call *call);
/* The algorithms of a collective; NULL behind the last. */
const weft_algo *simjob_algo(weft_coll coll, int i);
/* The collectives whose results it knows. */
enum { SIMJOB_COLLS = 5 };
extern const weft_coll simjob_colls[SIMJOB_COLLS];

#endif
