/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/plan_prove.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/status.h"
#include "plan/plan_verify.h"

/* Words of memory, and steps of inner loops, that a proof may take: half a gigabyte, and a few
 * seconds (a step takes 1 to 2 ns, and there are three lanes with elements). */
#define WORDS_MOST (UINT64_C(1) << 26)
#define WORK_MOST (UINT64_C(1) << 30)
enum { SYMBOL_WORDS = 5 }; /* of plan_verify's symbols, beside a bit for each rank */

/* What plan_verify and plan_check will need, from above. */
typedef struct weight {
    uint64_t words, work;
} weight;

static void weigh_step(const weft_plan_file *f, const weft_file_step *s, uint32_t *widths,
                       weight *sum)
{
    const uint64_t symbol = SYMBOL_WORDS + ((uint64_t)f->peers + 63) / 64;
    const uint64_t ranks = (uint64_t)f->peers;

    if (s->verb == WEFT_VERB_PACK || s->verb == WEFT_VERB_RECV || s->verb == WEFT_VERB_REPLY)
        widths[s->slot] = s->to - s->from;
    const uint64_t width = widths[s->slot];
    switch (s->verb) {
    case WEFT_VERB_PACK:
    case WEFT_VERB_FOLD:
    case WEFT_VERB_MERGE:
    case WEFT_VERB_SCALE:
    case WEFT_VERB_REPLY:
        sum->words += width * symbol; /* a buffer of its own */
        sum->work += width * (symbol + ranks);
        break;
    case WEFT_VERB_SEND:
        sum->words += symbol; /* what a meeting's messages carry */
        sum->work += symbol;
        break;
    case WEFT_VERB_UNPACK:
    case WEFT_VERB_ADD:
        sum->work += width * (symbol + ranks);
        break;
    default:
        break;
    }
}

/* The check of one plan holds every write against every read below it and every reply above. */
static uint64_t weigh_check(const weft_file_step *steps, size_t count)
{
    uint64_t reads = 0, writes = 0, replies = 0;

    for (size_t i = 0; i < count; i++) {
        const weft_verb verb = steps[i].verb;
        reads += verb == WEFT_VERB_PACK || verb == WEFT_VERB_FOLD;
        replies += verb == WEFT_VERB_REPLY;
        writes += verb == WEFT_VERB_UNPACK || verb == WEFT_VERB_ADD || verb == WEFT_VERB_REPLY;
    }
    return writes * (reads + replies);
}

static int weigh(const weft_plan_file *f)
{
    const uint64_t ranks = (uint64_t)f->peers;
    const uint64_t cells = (uint64_t)weft_coll_out_blocks(f->coll, f->peers) * ranks *
                           (uint64_t)f->parts; /* at most 2^36 */
    const uint64_t symbol = SYMBOL_WORDS + (ranks + 63) / 64;
    weight sum = {.words = (cells + ranks) * symbol, .work = cells * (symbol + ranks)};
    uint32_t *widths = weft_calloc(WEFT_PLAN_FILE_RANK_STEPS, sizeof *widths);

    if (!widths)
        return weft_fail(WEFT_ENOMEM, "plan file %s: no memory to weigh it", f->path);
    for (int rank = 0; rank < f->peers; rank++) {
        const weft_file_step *steps = f->steps + f->first[rank];
        const size_t count = f->first[rank + 1] - f->first[rank];
        sum.work += weigh_check(steps, count);
        for (size_t i = 0; i < count; i++)
            weigh_step(f, &steps[i], widths, &sum);
    }
    weft_free(widths);
    if (sum.words > WORDS_MOST || sum.work > WORK_MOST)
        return weft_fail(WEFT_ENOTSUP,
                         "plan file %s: too large to be proved: %.2g bytes and %.2g steps, at most "
                         "%.2g and %.2g",
                         f->path, 8.0 * (double)sum.words, (double)sum.work,
                         8.0 * (double)WORDS_MOST, (double)WORK_MOST);
    return WEFT_OK;
}

typedef struct lane {
    const weft_plan_file *file;
    size_t count, block;
} lane;

static weft_shape shape_of(const lane *l, int rank)
{
    return (weft_shape){.coll = l->file->coll,
                        .rank = rank,
                        .size = l->file->peers,
                        .count = l->count,
                        .block = l->block,
                        .root = l->file->root};
}

static int build(void *user, int rank, weft_plan *ret)
{
    const lane *l = user;
    const weft_shape s = shape_of(l, rank);
    const int rc = weft_plan_init(ret, s.rank, s.size, s.count);

    return rc ? rc : weft_plan_file_place(l->file, &s, ret);
}

static lane of_single_elements(const weft_plan_file *f)
{
    return (lane){.file = f, .count = (size_t)f->parts, .block = 1};
}

int weft_plan_prove_rank(const weft_plan_file *f, int rank, weft_plan *ret)
{
    lane l = of_single_elements(f);
    weft_plan p = {0};
    const int rc = build(&l, rank, &p);

    if (rc)
        weft_plan_free(&p);
    else
        *ret = p;
    return rc;
}

static int prove_lane(lane *l)
{
    const weft_shape s = shape_of(l, 0);
    const weft_goal goal = weft_shape_goal(&s);
    const int rc = weft_plan_verify(&goal, build, l);

    if (rc != WEFT_EINTERNAL)
        return rc ? weft_fail_context("plan file %s", l->file->path) : WEFT_OK;
    /* Not a bug of weft: the plan is wrong. */
    return weft_fail(WEFT_EINVAL, "plan file %s: %s (in a lane of %zu elements, %d parts)",
                     l->file->path, weft_last_error()->message, l->count, l->file->parts);
}

/* Of plans that are right: are they also in rank order? */
static int find_order(lane *l, bool *ret)
{
    const weft_shape s = shape_of(l, 0);
    weft_goal goal = weft_shape_goal(&s);
    int rc = WEFT_EINTERNAL;

    if (weft_coll_reduces(l->file->coll)) {
        goal.ordered = true;
        rc = weft_plan_verify(&goal, build, l);
    }
    *ret = rc == WEFT_OK;
    return rc == WEFT_EINTERNAL ? WEFT_OK : rc;
}

int weft_plan_prove(const weft_plan_file *f, bool *ret_ordered)
{
    const size_t some = 8 * ((size_t)f->parts / 2) + 3; /* cut on multiples of 8: half are empty */
    lane lanes[] = {
        of_single_elements(f),
        {.file = f, .count = some, .block = 0},
        {.file = f, .count = 1, .block = 1},
        {.file = f, .count = 0, .block = 1},
    };
    int rc = weigh(f);

    for (size_t i = 0; !rc && i < sizeof lanes / sizeof *lanes; i++)
        rc = prove_lane(&lanes[i]);
    return rc ? rc : find_order(&lanes[0], ret_ordered);
}
