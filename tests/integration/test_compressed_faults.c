/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed allreduce with input that is not finite, options that do not go together, and peers
 * that call different things. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "support/cluster.h"
#include "support/gentle.h"

/* ---- what is not finite ---------------------------------------------------------------------- */

static void nonfinite_body(member *me)
{
    static const char *const ways[][2] = {{"gather", "qsgd:levels=7"},
                                          {"scatter", "natural"},
                                          {"shared:over=ring", "qsgd:levels=7"},
                                          {"shared:over=tree", "tern"},
                                          {"ring_requant", "qsgd:levels=127"},
                                          {"vote", "sign:scaled=no"},
                                          {"gtopk_tree", "topk:k=4"}};
    enum { COUNT = 300 };
    float in[COUNT], out[COUNT];
    for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
        weft_receipt receipt = {.size = sizeof(receipt)};
        weft_coll_opts o = {.size = sizeof(o),
                            .algo = ways[w][0],
                            .codec = ways[w][1],
                            .draw = 1,
                            .receipt = &receipt};
        gentle(51, me->rank, in, COUNT);
        if (me->rank == 1) {
            in[17] = NAN;
        }
        MUST_END(me, WEFT_ENONFINITE,
                 weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
        MUST(me, weft_last_error()->rank == 1, "%s names rank %d: %s", ways[w][0],
             weft_last_error()->rank, weft_last_error()->message);
        MUST(me, strstr(weft_last_error()->message, "element 17 is NaN") != NULL, "%s",
             weft_last_error()->message);
        o.nonfinite = WEFT_NONFINITE_SKIP;
        MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
        MUST(me, receipt.skipped == (me->rank == 1), "skipped: %d", (int)receipt.skipped);
        MUST(me, alike(me, out, sizeof(out)) && isfinite(out[17]), "%s", ways[w][0]);
    }
}

/* Who has nothing to say does not vote. */
static void abstaining_body(member *me)
{
    float in[9], out[9];
    weft_receipt receipt = {.size = sizeof(receipt)};
    const weft_coll_opts o = {.size = sizeof(o),
                              .algo = "vote",
                              .nonfinite = WEFT_NONFINITE_SKIP,
                              .draw = 1,
                              .receipt = &receipt};
    for (size_t i = 0; i < 9; i++) {
        in[i] = me->rank == 1 ? -1.0f : NAN;
    }
    MUST_OK(me, weft_allreduce(me->group, in, out, 9, WEFT_F32, WEFT_SUM, &o));
    for (size_t i = 0; i < 9; i++) {
        MUST(me, out[i] == -1.0f, "the only vote was -1, the result is %g", (double)out[i]);
    }
    MUST(me, receipt.skipped == (me->rank != 1), "skipped: %d", (int)receipt.skipped);
    /* The same with a residual, which stays; and nothing is what it has contributed. */
    float residual[9], own[9];
    weft_coll_opts fed = o;
    fed.residual = residual;
    fed.own = own;
    for (size_t i = 0; i < 9; i++) {
        residual[i] = me->rank == 1 ? 0.0f : 0.25f;
    }
    MUST_OK(me, weft_allreduce(me->group, in, out, 9, WEFT_F32, WEFT_SUM, &fed));
    for (size_t i = 0; i < 9; i++) {
        MUST(me, out[i] == -1.0f, "the only vote was -1, the result is %g", (double)out[i]);
        MUST(me, me->rank == 1 || (residual[i] == 0.25f && own[i] == 0.0f), "residual %g, own %g",
             (double)residual[i], (double)own[i]);
    }
    fed.algo = "gather";
    fed.codec = "sign:scaled=no";
    MUST_END(me, WEFT_ENOTSUP, weft_allreduce(me->group, in, out, 9, WEFT_F32, WEFT_SUM, &fed));
}

Test(compressed_faults, who_is_not_finite_does_not_vote)
{
    cluster_run(CLUSTER_MEM, 3, abstaining_body, NULL);
}

/* ---- what does not go together --------------------------------------------------------------- */

static void contradictions_body(member *me)
{
    enum { COUNT = 100 };
    float in[COUNT] = {0}, out[COUNT], memory[COUNT] = {0}, carry[COUNT] = {0};
    const struct {
        weft_coll_opts o;
        int code;
    } bad[] = {
        {{.algo = "scatter", .reply_codec = "raw", .reply_memory = memory}, WEFT_EINVAL},
        {{.algo = "ring", .reply_codec = "raw", .reply_carry = carry}, WEFT_EINVAL},
        {{.algo = "gather", .reply_codec = "qsgd"}, WEFT_ENOTSUP},
        {{.algo = "vote", .reply_codec = "qsgd"}, WEFT_ENOTSUP},
        {{.algo = "oktopk", .reply_codec = "qsgd", .reply_memory = memory}, WEFT_ENOTSUP},
        {{.algo = "oktopk", .codec = "threshold:at=1"}, WEFT_ENOTSUP},
        {{.algo = "vote", .fidelity = WEFT_FIDELITY_EXACT}, WEFT_ENOTSUP},
        {{.algo = "gtopk_tree", .fidelity = WEFT_FIDELITY_EXACT}, WEFT_ENOTSUP},
        {{.algo = "ring_requant", .codec = "qsgd", .fidelity = WEFT_FIDELITY_EXACT}, WEFT_ENOTSUP},
        {{.algo = "scatter", .reply_codec = "qsgd", .fidelity = WEFT_FIDELITY_EXACT}, WEFT_EINVAL},
        {{.algo = "gtopk_tree", .codec = "topk:values=f16"}, WEFT_ENOTSUP},
        {{.algo = "gtopk_tree:residual=hash"}, WEFT_ENOTSUP},
        {{.algo = "shared", .codec = "qsgd:norm=2"}, WEFT_ENOTSUP},
        {{.algo = "scatter", .codec = "topk"}, WEFT_ENOTSUP},
        {{.algo = "scatter", .reply_codec = "qsgd", .reply_carry = out}, WEFT_EINVAL},
        {{.algo = "scatter", .reply_codec = "qsgd", .owned = carry, .reply_carry = carry},
         WEFT_EINVAL},
        {{.algo = "ring_requant", .codec = "qsgd", .own = memory}, WEFT_EINVAL},
        {{.algo = "gather", .codec = "qsgd", .owned = memory}, WEFT_EINVAL},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weft_coll_opts o = bad[i].o;
        o.size = sizeof(o);
        const int code = weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o);
        MUST(me, code == bad[i].code, "%d: %s (%s)", (int)i, weft_status_name(code),
             code < 0 ? weft_last_error()->message : "");
    }
    MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, NULL));
}

Test(compressed_faults, what_does_not_go_together_is_refused_before_anything_is_sent)
{
    for (int size = 1; size <= 3; size++) {
        cluster_run(CLUSTER_MEM, size, contradictions_body, NULL);
    }
}

/* A call that is two operations against one that is one: calls after it meet their own. */
static void shifted_body(member *me)
{
    float in[50], out[50];
    const weft_coll_opts pair = {.size = sizeof(pair), .algo = "shared", .codec = "qsgd"};
    for (int call = 1; call <= 4; call++) {
        for (size_t i = 0; i < 50; i++) {
            in[i] = (float)call;
        }
        const bool odd = call == 2;
        const int code = weft_allreduce(me->group, in, out, 50, WEFT_F32, WEFT_SUM,
                                        odd && me->rank == 0 ? &pair : NULL);
        MUST(me, code == (odd ? WEFT_EMISMATCH : WEFT_OK), "call %d: %s", call,
             weft_status_name(code));
        MUST(me, odd || out[7] == (float)(call * me->size), "call %d gives %g", call,
             (double)out[7]);
    }
}

Test(compressed_faults, a_mismatch_of_a_pair_does_not_shift_what_follows)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 3, shifted_body, NULL);
    }
}

Test(compressed_faults, nan_is_told_to_all_or_skipped)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 3, nonfinite_body, NULL);
    }
}
