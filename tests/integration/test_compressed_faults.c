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
        {{.algo = "gather", .codec = "powersgd", .warm = in}, WEFT_EINVAL},
        {{.algo = "gather", .codec = "powersgd", .warm = out + COUNT - 1}, WEFT_EINVAL},
        {{.algo = "gather", .codec = "powersgd", .warm = memory, .residual = memory}, WEFT_EINVAL},
        {{.algo = "gather", .codec = "powersgd", .warm = memory, .own = memory}, WEFT_EINVAL},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        weft_coll_opts o = bad[i].o;
        o.size = sizeof(o);
        const int code = weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o);
        MUST(me, code == bad[i].code, "%d: %s (%s)", (int)i, weft_status_name(code),
             code < 0 ? weft_last_error()->message : "");
        MUST(me, o.warm == NULL || strstr(weft_last_error()->message, "warm") != NULL, "%s",
             weft_last_error()->message);
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

/* One peer has NaN, another calls something else, a third is right; who calls before whom, and what
 * the other one calls, by the number of the case. Token by token: a peer calls after the one before
 * it has called. */
enum { ORDERS = 6, OTHERS = 3 };
static const int orders[ORDERS][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                      {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

static int call_other(member *me, int which, float *in, float *out, weft_request **ret)
{
    return which == 0 ? weft_allreduce_start(me->group, in, out, 50, WEFT_F32, WEFT_SUM, NULL, ret)
           : which == 1 ? weft_broadcast_start(me->group, in, 50, WEFT_F32, me->rank, NULL, ret)
                        : weft_allgather_start(me->group, in, out, 16, WEFT_F32, NULL, ret);
}

/* Waits for its turn, calls, lets the next one call. */
static int call_in_turn(member *me, const int *order, bool other, int which, float *in, float *out,
                        weft_request **ret)
{
    const weft_coll_opts pair = {.size = sizeof(pair), .algo = "shared", .codec = "qsgd"};
    char token = 0;
    int place = 0, rc = WEFT_OK;
    while (order[place] != me->rank) {
        place++;
    }
    if (place > 0) {
        rc = weft_recv(me->group, &token, 1, WEFT_I8, order[place - 1], 1, NULL);
    }
    if (rc == WEFT_OK) {
        rc = other ? call_other(me, which, in, out, ret)
                   : weft_allreduce_start(me->group, in, out, 50, WEFT_F32, WEFT_SUM, &pair, ret);
    }
    if (rc == WEFT_OK && place < 2) {
        rc = weft_send(me->group, &token, 1, WEFT_I8, order[place + 1], 1, NULL);
    }
    return rc;
}

static void two_faults_body(member *me)
{
    const weft_coll_opts pair = {
        .size = sizeof(pair), .algo = "shared", .codec = "qsgd:levels=1,bucket=0,norm=max"};
    float in[50], out[50];
    for (int i = 0; i < ORDERS * ORDERS * OTHERS; i++) {
        const int *roles = orders[i % ORDERS], *order = orders[i / ORDERS % ORDERS];
        const bool other = me->rank == roles[1];
        weft_request *r = NULL;
        for (int j = 0; j < 50; j++) {
            in[j] = (float)(i + 1);
        }
        in[9] = me->rank == roles[0] ? NAN : in[9];
        MUST_OK(me, call_in_turn(me, order, other, i / ORDERS / ORDERS, in, out, &r));
        const int code = weft_wait(r, WEFT_FOREVER);
        MUST(me, code == WEFT_EMISMATCH || code == WEFT_ENONFINITE || (other && code == 0),
             "case %d: %s", i, weft_status_name(code));
        weft_request_free(&r);
        in[9] = in[8];
        for (int good = 0; good < 2; good++) { /* levels are met exactly: nothing is random */
            MUST_OK(me, weft_allreduce(me->group, in, out, 50, WEFT_F32, WEFT_SUM,
                                       good == 0 ? &pair : NULL));
            MUST(me, out[9] == 3 * in[9], "case %d: %g of %g", i, (double)out[9], (double)in[9]);
        }
    }
}

Test(compressed_faults, two_faults_at_once_do_not_shift_what_follows)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 3, two_faults_body, NULL);
    }
}

/* The caller has made one call: while its peer is late the time runs, and it counts as one. */
static void one_call_body(member *me)
{
    enum { LONG = 1 << 21 };
    static float vectors[2][LONG];
    weft_receipt receipt = {.size = sizeof(receipt)}, meanwhile = {.size = sizeof(meanwhile)};
    const weft_coll_opts pair = {
        .size = sizeof(pair), .algo = "shared", .codec = "qsgd", .receipt = &receipt};
    const weft_coll_opts plain = {.size = sizeof(plain), .receipt = &meanwhile};
    weft_group_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    float in[50] = {1}, out[50], *vector = vectors[me->rank];
    weft_request *r = NULL;
    MUST_OK(me, weft_group_get_stats(me->group, &before));
    if (me->rank == 0) {
        MUST_OK(me, weft_allreduce_start(me->group, in, out, 50, WEFT_F32, WEFT_SUM, &pair, &r));
        MUST_OK(me, weft_send(me->group, vector, LONG, WEFT_F32, 1, 1, &plain));
        MUST_OK(me, weft_wait(r, WEFT_FOREVER));
        MUST(me, receipt.total_ns > meanwhile.total_ns,
             "%g ns, though the other one called after %g", (double)receipt.total_ns,
             (double)meanwhile.total_ns);
    } else {
        MUST_OK(me, weft_recv(me->group, vector, LONG, WEFT_F32, 0, 1, &plain));
        MUST_OK(me, weft_allreduce_start(me->group, in, out, 50, WEFT_F32, WEFT_SUM, &pair, &r));
        MUST_OK(me, weft_wait(r, WEFT_FOREVER));
    }
    weft_request_free(&r);
    MUST_OK(me, weft_group_get_stats(me->group, &after));
    MUST(me, after.operations - before.operations == 2, "%d operations",
         (int)(after.operations - before.operations));
    MUST(me,
         receipt.total_ns == receipt.encode_ns + receipt.combine_ns + receipt.decode_ns +
                                 receipt.send_ns + receipt.wait_ns,
         "times do not add up");
}

Test(compressed_faults, a_call_of_two_parts_is_one_in_receipt_and_statistics)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 2, one_call_body, NULL);
    }
}

Test(compressed_faults, nan_is_told_to_all_or_skipped)
{
    for (int link = 0; link < CLUSTER_LINKS; link++) {
        cluster_run((cluster_link)link, 3, nonfinite_body, NULL);
    }
}
