/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans in public terms. Rounds are times: in a network where every message takes one second and
 * nothing else takes any, a message of round k arrives at k.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "explain/study.h"
#include "plan/plan_clock.h"

/* A message and its round. */
typedef struct meeting {
    int from, to;
    uint32_t message; /* joined ones count once */
    int round;
} meeting;

struct weft_schedule {
    weft_study study;
    meeting *meetings; /* sorted */
    size_t count, cap;
    int rounds;
    int failed;
    weft_plan plan; /* of the rank taken up */
    int *round_of;  /* per step of it */
};

_Static_assert(
    (int)WEFT_DO_PACK == (int)WEFT_VERB_PACK && (int)WEFT_DO_SEND == (int)WEFT_VERB_SEND &&
        (int)WEFT_DO_RECV == (int)WEFT_VERB_RECV && (int)WEFT_DO_FOLD == (int)WEFT_VERB_FOLD &&
        (int)WEFT_DO_MERGE == (int)WEFT_VERB_MERGE &&
        (int)WEFT_DO_UNPACK == (int)WEFT_VERB_UNPACK && (int)WEFT_DO_ADD == (int)WEFT_VERB_ADD &&
        (int)WEFT_DO_REPLY == (int)WEFT_VERB_REPLY && (int)WEFT_DO_SCALE == (int)WEFT_VERB_SCALE &&
        (int)WEFT_DO_FENCE == (int)WEFT_VERB_FENCE && (int)WEFT_DO_COUNT == (int)WEFT_VERB_COUNT,
    "public verbs are the plan's");

const char *weft_do_name(weft_do verb)
{
    return weft_verb_name((weft_verb)verb);
}

static int by_pair(const void *a, const void *b)
{
    const meeting *x = a, *y = b;

    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    if (x->to != y->to)
        return x->to < y->to ? -1 : 1;
    return (x->message > y->message) - (x->message < y->message);
}

static void watch(void *user, const weft_passage *p)
{
    weft_schedule *s = user;
    void *all = s->meetings;

    if (s->failed)
        return;
    if (!weft_grow(&all, &s->cap, s->count + 1, sizeof *s->meetings)) {
        s->failed = weft_fail(WEFT_ENOMEM, "schedule: no memory for %zu messages", s->count);
        return;
    }
    s->meetings = all;
    const int round = (int)(p->arrived_s + 0.5);
    s->meetings[s->count++] =
        (meeting){.from = p->from, .to = p->to, .message = p->message, .round = round};
    s->rounds = round > s->rounds ? round : s->rounds;
}

/* Every lane but the last one has this plan; a single lane has it too. */
static int build(void *user, int rank, bool last, weft_plan *ret)
{
    (void)last;
    return weft_study_build(user, rank, false, ret);
}

static int find_rounds(weft_schedule *s)
{
    const weft_network net = {.size = sizeof net, .latency_s = 1, .lanes = 1};
    const weft_clock_job job = {.size = s->study.query.peers,
                                .lanes = 1,
                                .element_bytes = 1,
                                .build = build,
                                .bound = weft_study_bound,
                                .watch = watch,
                                .user = &s->study,
                                .watcher = s};
    weft_simulated done = {.size = sizeof done};
    const int rc = weft_plan_clock(&job, &net, NULL, &done);

    if (rc || s->failed)
        return rc ? rc : s->failed;
    if (s->count > 0)
        qsort(s->meetings, s->count, sizeof *s->meetings, by_pair);
    return WEFT_OK;
}

int weft_schedule_open(weft_schedule **ret, const weft_query *query)
{
    weft_schedule *s = weft_calloc(1, sizeof *s);
    int rc = s ? weft_study_open(&s->study, query) : weft_fail(WEFT_ENOMEM, "schedule: no memory");

    if (!rc)
        rc = weft_study_pick(&s->study, query->algo);
    if (!rc)
        rc = find_rounds(s);
    if (rc) {
        weft_schedule_close(&s);
        return rc;
    }
    *ret = s;
    return WEFT_OK;
}

void weft_schedule_close(weft_schedule **s)
{
    if (!*s)
        return;
    weft_study_close(&(*s)->study);
    weft_plan_free(&(*s)->plan);
    weft_free((*s)->round_of);
    weft_free((*s)->meetings);
    weft_free(*s);
    *s = NULL;
}

const char *weft_schedule_algo(const weft_schedule *s)
{
    return s->study.pick.text;
}

uint64_t weft_schedule_count(const weft_schedule *s)
{
    return weft_study_shape(&s->study, 0, false).count;
}

int weft_schedule_rounds(const weft_schedule *s)
{
    return s->rounds;
}

static bool talks(const weft_step *s)
{
    return s->verb == WEFT_VERB_SEND || s->verb == WEFT_VERB_RECV;
}

static int round_of(const weft_schedule *s, const meeting *key)
{
    const meeting *found =
        s->count > 0 ? bsearch(key, s->meetings, s->count, sizeof *key, by_pair) : NULL;
    return found ? found->round : 0;
}

/* Parts of a message have its round. */
static int date_steps(const weft_schedule *s, const weft_plan *p, int *rounds)
{
    uint32_t *done = weft_calloc((size_t)p->size * 2, sizeof *done); /* whole messages, both ways */

    if (!done)
        return weft_fail(WEFT_ENOMEM, "schedule: no memory for %d ranks", p->size);
    for (size_t i = 0; i < p->step_count; i++) {
        const weft_step *step = &p->steps[i];
        if (!talks(step))
            continue;
        const bool sends = step->verb == WEFT_VERB_SEND;
        uint32_t *message = &done[2 * (size_t)step->peer + sends];
        const meeting key = {.from = sends ? p->rank : step->peer,
                             .to = sends ? step->peer : p->rank,
                             .message = *message};
        rounds[i] = round_of(s, &key);
        *message += !step->joined;
    }
    weft_free(done);
    return WEFT_OK;
}

int weft_schedule_rank(weft_schedule *s, int rank, size_t *ret_steps)
{
    weft_plan p = {0};

    if (rank < 0 || rank >= s->study.query.peers)
        return weft_fail(WEFT_EINVAL, "schedule: rank %d of %d", rank, s->study.query.peers);
    int rc = weft_study_build(&s->study, rank, false, &p);
    if (rc)
        return rc;
    int *rounds = weft_calloc(p.step_count, sizeof *rounds);
    rc = rounds ? date_steps(s, &p, rounds)
                : weft_fail(WEFT_ENOMEM, "schedule: no memory for %zu steps", p.step_count);
    if (rc) {
        weft_free(rounds);
        weft_plan_free(&p);
        return rc;
    }
    weft_plan_free(&s->plan);
    weft_free(s->round_of);
    s->plan = p;
    s->round_of = rounds;
    *ret_steps = p.step_count;
    return WEFT_OK;
}

int weft_schedule_step_get(const weft_schedule *s, size_t index, weft_schedule_step *ret)
{
    if (index >= s->plan.step_count)
        return 0;
    const weft_step *step = &s->plan.steps[index];
    const bool fence = step->verb == WEFT_VERB_FENCE;
    weft_schedule_step out = {
        .size = ret->size,
        .verb = (weft_do)step->verb,
        .peer = talks(step) ? step->peer : -1,
        .slot = fence ? -1 : step->slot,
        .other = step->verb == WEFT_VERB_MERGE ? step->other : -1,
        .other_first = step->other_first,
        .raw = step->raw,
        .joined = step->joined,
        .round = s->round_of[index],
        .travels = talks(step) ? (int)step->span.block : -1,
        .block = step->span.block,
        .off = step->span.off,
        .count = step->span.count,
        .weight = step->weight,
    };
    if (!fence)
        out.bytes = weft_study_bound((void *)&s->study, &s->plan, step);
    memcpy(ret, &out, ret->size < sizeof out ? ret->size : sizeof out);
    return 1;
}
