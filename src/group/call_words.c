/* SPDX-License-Identifier: Apache-2.0 */
/* A call in words: what all peers must say alike before anything of it is sent (wire.md). */
#include "group/call.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

/* What all peers must say alike of the blocks' lengths. */
static void describe_counts(const weft_group *g, const weft_call *c, const weft_request *r,
                            char *text, size_t cap)
{
    const size_t *counts = c->in_counts != NULL ? c->in_counts : c->out_counts;
    if (weft_call_lone_lane(c)) {
        snprintf(text, cap, "counts=own");
    } else if (counts != NULL) {
        uint64_t sum = 0;
        for (int i = 0; i < g->size; i++) {
            sum += counts[i];
        }
        snprintf(text, cap, "counts=%llu(%016llx)", (unsigned long long)sum,
                 (unsigned long long)weft_hash64(counts, (size_t)g->size * sizeof(*counts)));
    } else {
        snprintf(text, cap, "count=%llu", (unsigned long long)r->count);
    }
}

/* How replies are made, where they are not the elements. */
static void describe_replies(const weft_request *r, char *text, size_t cap)
{
    char memory[48] = "";
    text[0] = '\0';
    if (!r->plan->plan.replies || !weft_codec_lossy(r->reply)) {
        return;
    }
    if (r->reply_memory != NULL) {
        snprintf(memory, sizeof(memory), " memory=%.9g", (double)r->reply_alpha);
    }
    snprintf(text, cap, " reply=%s%s%s", weft_codec_spec(r->reply), memory,
             r->reply_carry != NULL ? " carry" : "");
}

void weft_call_describe(const weft_group *g, const weft_call *c, weft_request *r)
{
    /* Both ends of a transfer say the same. */
    const char *name = c->coll == WEFT_COLL_TRANSFER ? weft_coll_name(c->coll) : weft_call_name(c);
    const bool reduces = weft_coll_reduces(c->coll);
    const weft_topology *graph = c->topology != NULL ? c->topology : g->topology;
    char root[32] = "", counts[64], edges[64] = "", order[32] = "", regions[40] = "",
         reply[WEFT_SPEC_TEXT + 64];
    if (graph != NULL) {
        snprintf(edges, sizeof(edges), " edges=%016llx",
                 (unsigned long long)weft_topology_digest(graph));
    }
    if (r->seated) {
        snprintf(order, sizeof(order), " order=%016llx", (unsigned long long)g->orders.digest);
    }
    if (r->regions != 0) {
        snprintf(regions, sizeof(regions), " regions=%016llx", (unsigned long long)r->regions);
    }
    if (weft_coll_rooted(c->coll) && c->coll != WEFT_COLL_TRANSFER) {
        snprintf(root, sizeof(root), " root=%d", c->root);
    }
    describe_counts(g, c, r, counts, sizeof(counts));
    describe_replies(r, reply, sizeof(reply));
    if (c->coll == WEFT_COLL_BARRIER) {
        snprintf(r->words, sizeof(r->words), "%s algo=%s%s%s", name, r->algo, order, edges);
    } else {
        snprintf(r->words, sizeof(r->words), "%s %s%s%s%s %s%s codec=%s algo=%s%s%s%s%s lane=%llu",
                 name, weft_dtype_name(c->dtype), reduces ? " " : "",
                 reduces ? weft_op_name(c->op) : "", weft_codec_ordered(r->codec) ? " ordered" : "",
                 counts, root, weft_codec_spec(r->codec), r->algo, order, edges, regions, reply,
                 (unsigned long long)r->lane_length);
    }
    r->descriptor = weft_hash64(r->words, strlen(r->words));
    r->descriptor += r->descriptor == 0; /* 0 is no hash: frames without an operation have it */
}
