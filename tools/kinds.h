/* SPDX-License-Identifier: Apache-2.0 */
/* The collectives that bench and call know, and sendrecv, as a table: what goes in and comes out
 * where. */
#ifndef WEFT_TOOLS_KINDS_H
#define WEFT_TOOLS_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/collective.h>
#include <weft/group.h>

#include "cli.h"

typedef struct weft_kind weft_kind;

/* One call of any of them; fields that a collective has no use for are not looked at. */
typedef struct weft_kind_args {
    const void *in; /* of broadcast not looked at: out is its buffer */
    void *out;
    size_t count;
    /* Of blocks with lengths of their own, a rank each; offsets may be NULL. */
    const size_t *in_counts, *in_offsets, *out_counts, *out_offsets;
    weft_dtype dtype;
    weft_op op;
    int root;
    uint32_t tag; /* of sendrecv: those at once differ */
    /* Not NULL. Of a started sendrecv the receipt is that of its send. */
    const weft_coll_opts *opts;
} weft_kind_args;

/* What a started operation is waited for by: a request, or two of those that are two calls. */
enum { WEFT_KIND_REQUESTS = 2 };
typedef struct weft_kind_started {
    weft_request *requests[WEFT_KIND_REQUESTS]; /* NULL: there is no more */
} weft_kind_started;

struct weft_kind {
    const char *name;   /* "allgatherv" */
    const char *family; /* whose algorithms serve it: "allgather" */
    /* ret NULL: returns when it is done; else the operation is started. *ret is empty before. */
    int (*call)(weft_group *group, const weft_kind_args *a, weft_kind_started *ret);
    bool reduces;
    bool in_of_root, out_of_root; /* one rank alone has that side */
    bool in_blocks, out_blocks;   /* that side has a block for each rank */
    bool lengths;                 /* blocks have lengths of their own */
    bool one_buffer;              /* of broadcast: what goes in comes out */
    bool to_next;                 /* a rank's input is the next one's result, the last's rank 0's */
    bool empty;                   /* a barrier */
};

/* Wait for a started operation. 0, or its first error, which is the thread's last one. */
int weft_kind_wait(weft_kind_started *started);
/* Free the requests; what still runs is canceled. */
void weft_kind_drop(weft_kind_started *started);
/* By name; NULL: there is none. */
const weft_kind *weft_kind_find(const char *name);
/* Tell that there is none of that name, and which is nearest. WEFT_EXIT_USAGE. */
int weft_kind_refuse(const weft_cli *cli, const char *name);
/* One rank has the input or the result. */
bool weft_kind_rooted(const weft_kind *k);
/* Is that side there on the rank? */
bool weft_kind_has_in(const weft_kind *k, int rank, int root);
bool weft_kind_has_out(const weft_kind *k, int rank, int root);
/* What busbw is as a multiple of algbw (nccl-tests, PERFORMANCE.md): the share of the size that a
 * link carries. */
double weft_kind_bus_factor(const weft_kind *k, int size);

#endif
