/* SPDX-License-Identifier: Apache-2.0 */
#include "roster/roster.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "roster/finder.h"

#define LOOK_NS (100 * WEFT_MS) /* longest time between two looks at processes of this host */

static const weft_finder_type *const finders[] = {
#define X(name) &weft_finder_##name,
#include "roster/finders.def"
#undef X
};

const weft_finder_type *weft_finder_type_at(int index)
{
    if (index < 0 || (size_t)index >= sizeof(finders) / sizeof(finders[0]))
        return NULL;
    return finders[index];
}

const weft_finder_type *weft_finder_type_for(const char *meet)
{
    for (size_t i = 0; i < sizeof(finders) / sizeof(finders[0]); i++)
        if (strncmp(meet, finders[i]->scheme, strlen(finders[i]->scheme)) == 0)
            return finders[i];
    return NULL;
}

/* The deadline passed: name who is missing, what was tried, how the place was found. */
static int timed_out(const weft_board *b, const weft_finder *f, int64_t began_ns)
{
    char missing[512], tried[512] = "";
    int rank;
    weft_board_missing(b, missing, sizeof(missing), &rank);
    f->type->describe(f, tried, sizeof(tried));
    return weft_fail_rank(WEFT_ETIMEDOUT, rank, "meeting at %s of job \"%s\": %s in %.1f s; %s%s%s",
                          b->m->meet, b->m->job, missing,
                          (double)(weft_now() - began_ns) / (1000.0 * (double)WEFT_MS), tried,
                          b->m->tried[0] ? "; read: " : "", b->m->tried);
}

/* Judge, and do not blame a peer for the entry of a process that is no more. */
static int judge(weft_board *b, int64_t now_ns)
{
    weft_board_reap(b, now_ns, false);
    int status = weft_board_judge(b);
    if ((status == WEFT_EDUPLICATE || status == WEFT_EINVAL) && weft_board_reap(b, now_ns, true))
        status = weft_board_judge(b);
    return status;
}

/* Until all hold the same list. */
static int gather(weft_board *b, weft_finder *f)
{
    int64_t began = weft_now();
    uint32_t published = 0;
    for (;;) {
        int64_t now = weft_now();
        int status = judge(b, now);
        if (status < 0)
            return status;
        if (b->known[0].stamp != published) {
            int sent = f->type->publish(f);
            if (sent != WEFT_OK)
                return sent;
            published = b->known[0].stamp;
        }
        if (status == WEFT_OK)
            return status;
        if (now >= b->m->deadline_ns)
            return timed_out(b, f, began);
        int64_t until = now + LOOK_NS;
        status = f->type->wait(f, until < b->m->deadline_ns ? until : b->m->deadline_ns);
        if (status != WEFT_OK)
            return status;
    }
}

/* Tell the others, and take the entry away. The error stays the thread's last one. */
static int give_up(weft_board *b, weft_finder *f)
{
    weft_problem problem = {.code = WEFT_OK, .rank = -1};
    weft_problem_from_last(&problem);
    bool urgent = problem.code != WEFT_ETIMEDOUT || b->known[0].entry.ready != 0;
    weft_board_give_up(b, problem.code, problem.text);
    f->type->leave(f, urgent);
    return weft_fail_problem(&problem);
}

static int check(const weft_meeting *m, const weft_entry *self)
{
    if (m->peers < 1 || m->peers > UINT16_MAX)
        return weft_fail(WEFT_EINVAL, "meeting of %d peers: 1 … %d are possible", m->peers,
                         UINT16_MAX);
    if (self->rank < -1 || self->rank >= m->peers)
        return weft_fail(WEFT_EINVAL, "meeting: rank %d of %d peers", self->rank, m->peers);
    for (int i = 0; i < WEFT_ROSTER_ENDPOINTS; i++)
        if (memchr(self->endpoint[i], '\0', WEFT_ENDPOINT_TEXT) == NULL)
            return weft_fail(WEFT_EINVAL, "meeting: endpoint longer than %d characters",
                             WEFT_ENDPOINT_TEXT - 1);
    if (m->peers > 1 && !weft_finder_type_for(m->meet))
        return weft_fail(
            WEFT_EINVAL,
            "meeting place \"%s\": expected file:///FOLDER or tcp://HOST:PORT (several "
            "with commas between)",
            m->meet);
    return WEFT_OK;
}

static int meet_alone(weft_roster *ret, weft_board *b)
{
    int status = weft_board_judge(b);
    return status == WEFT_OK ? weft_board_list(b, ret) : status;
}

int weft_roster_meet(weft_roster *ret, const weft_meeting *m, const weft_entry *self,
                     weft_link *link)
{
    weft_board board = {0};
    weft_finder *finder = NULL;
    weft_roster roster = {0};
    int status = check(m, self);
    if (status != WEFT_OK)
        return status;
    status = weft_board_open(&board, m, self);
    if (status != WEFT_OK)
        return status;
    if (m->peers == 1) {
        status = meet_alone(&roster, &board);
        goto out;
    }
    status = weft_finder_type_for(m->meet)->open(&finder, &board, link);
    if (status != WEFT_OK)
        goto out;
    status = gather(&board, finder);
    if (status == WEFT_OK)
        status = weft_board_list(&board, &roster);
    if (status == WEFT_OK)
        status = finder->type->finish(finder, &roster);
    if (status != WEFT_OK)
        status = give_up(&board, finder);
out:
    if (finder)
        finder->type->close(&finder);
    weft_board_close(&board);
    roster.owner = getpid();
    if (status == WEFT_OK)
        *ret = roster;
    else
        weft_roster_free(&roster);
    return status;
}

void weft_roster_free(weft_roster *r)
{
    for (size_t i = 0; i < r->early_count; i++)
        weft_message_unref(r->early[i].message);
    weft_free(r->early);
    weft_free(r->entries);
    weft_seed_free(&r->seed);
    const bool ours = r->owner == getpid(); /* a forked child takes nothing away */
    if (r->file && ours)
        unlink(r->file);
    if (r->folder && ours)
        rmdir(r->folder); /* fails, as it should, while others have entries in it */
    weft_free(r->file);
    weft_free(r->folder);
    *r = (weft_roster){0};
}
