/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions that algorithm oktopk keeps: they even out who adds up what, select again by what has
 * selected, lose no mass, and are refused where peers do not bring the same.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/cluster.h"
#include "support/mass.h"

enum { COUNT = 8000, K = 160, EVERY = 4, STEPS = 13 };
#define ALGO "oktopk:every=4"
#define CODEC "topk:k=160"

/* Whole numbers, large in one eighth of the vector alone, in another place on each rank. */
static void clustered(int rank, uint64_t step, float *in)
{
    for (size_t i = 0; i < COUNT; i++) {
        const size_t mix = (i * 7919 + (size_t)rank * 104729 + step * 31) % 1009;
        const bool large = i >= 6000 + 50 * (size_t)rank && i < 7000 + 50 * (size_t)rank;
        in[i] = (float)mix - 504.0f + (large ? (mix % 2 ? 4000.0f : -4000.0f) : 0.0f);
    }
}

/* One step. *ret_most: the bytes that the peer with the most has received. */
static void step_once(member *me, uint64_t step, weft_regions *regions, float *residual,
                      uint64_t *ret_most)
{
    static _Thread_local float in[COUNT], out[COUNT], other[COUNT];
    static _Thread_local double before[COUNT];
    weft_receipt receipt = {.size = sizeof(receipt)};
    const weft_coll_opts o = {.size = sizeof(o),
                              .algo = ALGO,
                              .codec = CODEC,
                              .residual = residual,
                              .receipt = &receipt,
                              .regions = regions};
    size_t lost = 0;
    clustered(me->rank, step, in);
    MUST_OK(me, mass_of(me, in, residual, COUNT, before));
    MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
    MUST_OK(me, mass_lost(me, before, residual, out, COUNT, 0, &lost));
    MUST(me, lost == COUNT, "step %d: mass of element %zu is lost", (int)step, lost);
    MUST_OK(me, weft_allreduce(me->group, out, other, COUNT, WEFT_F32, WEFT_MAX, NULL));
    MUST(me, memcmp(out, other, sizeof(out)) == 0, "step %d: peers differ", (int)step);
    const size_t won = nonzero_of(out, COUNT);
    MUST(me, won > 0 && won <= K + (size_t)me->size, "%zu of %d", won, K);
    *ret_most = receipt.body_bytes_received;
    MUST_OK(me, weft_allreduce(me->group, ret_most, ret_most, 1, WEFT_U64, WEFT_MAX, NULL));
}

static void balance_body(member *me)
{
    static _Thread_local float residual[COUNT];
    uint64_t bytes = 0, even = 0, balanced = 0;
    weft_regions *regions = NULL;
    MUST_OK(me, weft_regions_open(&regions));
    memset(residual, 0, sizeof(residual));
    for (uint64_t step = 0; step < STEPS; step++) {
        step_once(me, step, regions, residual, &bytes);
        even = step == 0 ? bytes : even;
        balanced = step == 2 ? bytes : balanced; /* the first with cuts that were added up */
    }
    MUST(me, me->size < 3 || 4 * balanced < 3 * even, "P=%d: %d bytes at most, %d when cut evenly",
         me->size, (int)balanced, (int)even);
    MUST_OK(me, weft_regions_reset(regions));
    step_once(me, 0, regions, residual, &bytes);
    MUST(me, me->size < 3 || bytes > balanced, "reset cuts evenly");
    weft_regions_close(&regions);
    weft_regions_close(&regions);
}

Test(regions, cuts_follow_what_is_selected_and_no_mass_is_lost)
{
    for (int size = 1; size <= 9; size++) {
        cluster_run(CLUSTER_MEM, size, balance_body, NULL);
    }
}

/* Another count or another algorithm begins anew or is refused; nothing is left behind. */
static void reuse_body(member *me)
{
    static _Thread_local float in[COUNT], out[COUNT];
    weft_regions *regions = NULL;
    weft_request *first = NULL;
    MUST_OK(me, weft_regions_open(&regions));
    weft_coll_opts o = {
        .size = sizeof(o), .algo = "oktopk:every=1", .codec = CODEC, .regions = regions};
    for (uint64_t step = 0; step < 6; step++) {
        clustered(me->rank, step, in);
        const size_t count = step == 3 ? 100 : step == 4 ? 0 : COUNT;
        MUST_OK(me, weft_allreduce(me->group, in, out, count, WEFT_F32, WEFT_SUM, &o));
    }
    MUST_OK(me, weft_allreduce_start(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o, &first));
    MUST_END(me, WEFT_EINVAL, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
    MUST_OK(me, weft_wait(first, WEFT_FOREVER));
    MUST_END(me, WEFT_EINVAL, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
    weft_request_free(&first);
    MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
    o.algo = "gtopk_tree";
    MUST_END(me, WEFT_EINVAL, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
    weft_regions_close(&regions);
}

Test(regions, are_of_one_operation_at_a_time_and_of_oktopk)
{
    for (int size = 1; size <= 4; size++) {
        cluster_run(CLUSTER_MEM, size, reuse_body, NULL);
    }
}

/* How many of in this peer selects, and how many win. */
static int count_selected(const member *me, const char *codec, weft_regions *regions,
                          const float *in, size_t *ret_selected, size_t *ret_won)
{
    static _Thread_local float out[COUNT], own[COUNT];
    const weft_coll_opts o = {
        .size = sizeof(o), .algo = ALGO, .codec = codec, .own = own, .regions = regions};
    const int rc = weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o);
    *ret_selected = nonzero_of(own, COUNT);
    *ret_won = nonzero_of(out, COUNT);
    return rc;
}

/* What selected selects again; where a quarter fewer are as large, selection is exact. */
static void again_body(member *me)
{
    static _Thread_local float in[COUNT];
    static const size_t large[] = {K, 130, 100, 130}, want[] = {K, 130, K, K};
    weft_regions *regions = NULL;
    MUST_OK(me, weft_regions_open(&regions));
    for (size_t step = 0; step < sizeof(large) / sizeof(large[0]); step++) {
        size_t selected, won;
        for (size_t i = 0; i < COUNT; i++) {
            in[i] = i % 50 == 7 && i / 50 < large[step] ? 1000.0f : (float)(i % 31 + 1);
        }
        MUST_OK(me, count_selected(me, CODEC, regions, in, &selected, &won));
        MUST(me, selected == want[step], "step %d: %zu selected", (int)step, selected);
    }
    weft_regions_close(&regions);
}

Test(regions, select_again_by_what_has_selected)
{
    for (int size = 1; size <= 3; size++) {
        cluster_run(CLUSTER_MEM, size, again_body, NULL);
    }
}

/* More is asked for than before: it is selected exactly, and all of it wins where k is all. */
static void more_body(member *me)
{
    static _Thread_local float in[COUNT], out[COUNT];
    static const size_t ks[] = {10, 200, 200, 5, COUNT};
    weft_regions *regions = NULL;
    MUST_OK(me, weft_regions_open(&regions));
    for (size_t i = 0; i < COUNT; i++) {
        in[i] = (float)((i * 7919 + (size_t)me->rank) % 1009 + 1);
    }
    for (size_t step = 0; step < sizeof(ks) / sizeof(ks[0]); step++) {
        char codec[32];
        size_t selected, won;
        snprintf(codec, sizeof(codec), "topk:k=%zu", ks[step]);
        MUST_OK(me, count_selected(me, codec, regions, in, &selected, &won));
        MUST(me, selected == ks[step], "k=%zu: %zu selected", ks[step], selected);
        MUST(me, ks[step] != COUNT || won == COUNT, "%zu of all won", won);
    }
    weft_regions_close(&regions);
    for (size_t count = 1; count < 120;
         count += 17) { /* spans of one peer, and of unequal length */
        const weft_coll_opts o = {.size = sizeof(o), .algo = "oktopk", .codec = "topk:density=1"};
        MUST_OK(me, weft_allreduce(me->group, in, out, count, WEFT_F32, WEFT_SUM, &o));
        for (size_t i = 0; i < count; i++) {
            MUST(me, out[i] != 0.0f, "element %zu of %zu is lost", i, count);
        }
    }
}

Test(regions, give_what_is_asked_for_when_that_changes)
{
    for (int size = 1; size <= 5; size++) {
        cluster_run(CLUSTER_MEM, size, more_body, NULL);
    }
}

/* A call that rank 1 is refused by itself, of another count, has not touched what it keeps. */
static void refused_body(member *me)
{
    static _Thread_local float in[COUNT], out[COUNT], memory[COUNT];
    weft_regions *regions = NULL;
    MUST_OK(me, weft_regions_open(&regions));
    const weft_coll_opts o = {.size = sizeof(o), .algo = ALGO, .codec = CODEC, .regions = regions};
    weft_coll_opts bad = o;
    bad.reply_codec = "raw";
    bad.reply_memory = memory;
    for (int call = 0; call < 6; call++) {
        clustered(me->rank, (uint64_t)call, in);
        MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
        if (me->rank == 1) {
            MUST_END(me, WEFT_EINVAL,
                     weft_allreduce(me->group, in, out, 100, WEFT_F32, WEFT_SUM, &bad));
        }
    }
    if (me->rank == 1) {
        const weft_coll_opts all = {
            .size = sizeof(all), .algo = ALGO, .codec = "topk:density=1", .regions = regions};
        MUST_END(me, WEFT_ENOTSUP, /* too long: nothing of it is read */
                 weft_allreduce(me->group, in, in, SIZE_MAX >> 32, WEFT_F32, WEFT_SUM, &all));
    }
    MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
    weft_regions_close(&regions);
}

Test(regions, outlive_a_call_that_is_refused)
{
    cluster_run(CLUSTER_MEM, 3, refused_body, NULL);
}

/* Rank 1 has lost its regions from this call on, where the others add up cuts or do not, then
 * brings none: all are told, and go on after a reset. */
static void lost_body(member *me)
{
    static _Thread_local float in[COUNT], out[COUNT];
    const int from = *(const int *)me->user;
    weft_regions *regions = NULL;
    MUST_OK(me, weft_regions_open(&regions));
    weft_coll_opts o = {.size = sizeof(o), .algo = ALGO, .codec = CODEC, .regions = regions};
    for (int call = 0; call < 8; call++) {
        const bool lost = call >= from && call < from + 3;
        if (lost && me->rank == 1) {
            MUST_OK(me, weft_regions_reset(regions));
            o.regions = call == from + 2 ? NULL : regions;
        }
        clustered(me->rank, (uint64_t)call, in);
        const int code = weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o);
        MUST(me, code == (lost ? WEFT_EMISMATCH : WEFT_OK), "call %d: %s", call,
             weft_status_name(code));
        if (lost) {
            MUST(me, strstr(weft_last_error()->message, "regions") != NULL, "call %d: %s", call,
                 weft_last_error()->message);
        }
        if (call == from + 2) {
            o.regions = regions;
            MUST_OK(me, weft_regions_reset(regions));
        }
    }
    weft_regions_close(&regions);
}

Test(regions, of_a_peer_that_lost_them_are_refused_by_all)
{
    for (int from = 1; from <= 4; from++) {
        cluster_run(CLUSTER_MEM, 3, lost_body, &from);
    }
}

/* The second operation, before which cuts are added up, is given up while a peer is late. */
static void given_up_body(member *me)
{
    static _Thread_local float in[COUNT], out[COUNT];
    weft_regions *regions = NULL;
    MUST_OK(me, weft_regions_open(&regions));
    const weft_coll_opts o = {.size = sizeof(o), .algo = ALGO, .codec = CODEC, .regions = regions};
    clustered(me->rank, 0, in);
    for (int round = 0; round < 3; round++) {
        weft_request *second = NULL;
        MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o));
        if (me->rank == 1) {
            usleep(30000);
        }
        MUST_OK(me,
                weft_allreduce_start(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, &o, &second));
        MUST_END(me, WEFT_EINVAL, weft_regions_reset(regions));
        if (me->rank == 0) {
            weft_request_free(&second);
        } else {
            MUST_END(me, WEFT_ECANCELED, weft_wait(second, WEFT_FOREVER));
            weft_request_free(&second);
        }
        if (round == 1) { /* while what it worked on may still be in use */
            weft_regions_close(&regions);
            break;
        }
        MUST_OK(me, weft_regions_reset(regions));
    }
    MUST_OK(me, weft_allreduce(me->group, in, out, COUNT, WEFT_F32, WEFT_SUM, NULL));
}

Test(regions, outlive_an_operation_that_is_given_up)
{
    cluster_run(CLUSTER_MEM, 3, given_up_body, NULL);
}
