/* SPDX-License-Identifier: Apache-2.0 */
/* What "auto" chooses for compressed calls: one that the call can have, and the one that was
 * foretold. */
#include <criterion/criterion.h>
#include <string.h>

#include "support/cluster.h"
#include "support/gentle.h"

enum { COUNT = 1 << 14, PEERS_MOST = 4 };
/* Bytes alone cost, so that few bytes win. */
static const char costs[] = "round=0,message=1e-9,incast=1";

typedef struct foretold {
    char algo[WEFT_EXPLAIN_ALGO];
} foretold;

static int foretell(const weft_coll_opts *o, int peers, foretold *ret)
{
    const weft_query q = {.size = sizeof(q),
                          .collective = "allreduce",
                          .codec = o->codec,
                          .fidelity = o->fidelity,
                          .costs = costs,
                          .peers = peers,
                          .dtype = WEFT_F32,
                          .count = COUNT,
                          .residual = o->residual != NULL,
                          .own = o->own != NULL,
                          .owned = o->owned != NULL};
    weft_candidate c = {.size = sizeof(c)};
    weft_explain *e = NULL;
    const int rc = weft_explain_open(&e, &q);
    for (int i = 0; rc == WEFT_OK && weft_explain_get(e, i, &c); i++) {
        if (c.chosen) {
            memcpy(ret->algo, c.algo, sizeof(ret->algo));
        }
    }
    weft_explain_close(&e);
    return rc;
}

/* Every call in its turn, twice: what is remembered of one is not for the other. */
static void auto_body(member *me)
{
    static const char *const codecs[] = {"raw", "qsgd:levels=7,bucket=512", "minmax8:bucket=512",
                                         "onebit"};
    enum { CODECS = sizeof(codecs) / sizeof(codecs[0]) };
    static float vectors[PEERS_MOST][5][COUNT];
    float *in = vectors[me->rank][0], *out = vectors[me->rank][1], *own = vectors[me->rank][2],
          *owned = vectors[me->rank][3], *residual = vectors[me->rank][4];
    int again = 0;
    gentle(71, me->rank, in, COUNT);
    for (unsigned call = 0; call < 2 * 16 * CODECS; call++) {
        foretold said = {""};
        weft_receipt receipt = {.size = sizeof(receipt)};
        weft_coll_opts o = {.size = sizeof(o),
                            .algo = "auto",
                            .codec = codecs[call / 16 % CODECS],
                            .fidelity = call & 1 ? WEFT_FIDELITY_REQUANTIZED : WEFT_FIDELITY_EXACT,
                            .residual = call & 2 ? residual : NULL,
                            .own = call & 4 ? own : NULL,
                            .owned = call & 8 ? owned : NULL,
                            .receipt = &receipt};
        memset(residual, 0, COUNT * sizeof(float));
        MUST_OK(me, foretell(&o, me->size, &said));
        MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
        MUST(me, strcmp(receipt.algo, said.algo) == 0, "call %u: %s runs, %s was foretold", call,
             receipt.algo, said.algo);
        again += strcmp(receipt.algo, "ring_requant") == 0;
    }
    MUST(me, again > 0 || me->size < 3, "sums are never encoded again: the test shows nothing");
}

static void by_bytes(weft_group_opts *o, const member *me)
{
    (void)me;
    o->costs = costs;
}

Test(choice, auto_serves_every_call_as_it_was_foretold)
{
    for (int size = 1; size <= PEERS_MOST; size++) {
        const cluster_plan plan = {
            .link = CLUSTER_MEM, .size = size, .body = auto_body, .options = by_bytes};
        cluster_join(cluster_start(&plan));
    }
}
