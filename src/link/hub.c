/* SPDX-License-Identifier: Apache-2.0 */
#include "link/hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weft/group.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "link/hub_seat.h"

enum { MOST_PEERS = 65535, MISSING_TEXT = 200 };

/* Somebody who waits for a seat; on that thread's stack. */
typedef struct claim {
    int rank, seat;
} claim;

struct weft_hub {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int peers;
    claim **claims; /* by order of arrival */
    int arrived, left;
    bool seated; /* between the last arrival and the last leave */
    uint64_t round;
    weft_inbox *inboxes;
};

/* --- waiting ------------------------------------------------------------------------------- */

static bool init_monotonic(pthread_mutex_t *lock, pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_mutex_init(lock, NULL) != 0)
        return false;
    if (pthread_condattr_init(&attr) == 0) {
        const bool made = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                          pthread_cond_init(cond, &attr) == 0;
        pthread_condattr_destroy(&attr);
        if (made)
            return true;
    }
    pthread_mutex_destroy(lock);
    return false;
}

/* false: the deadline passed. */
static bool wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns)
{
    if (until_ns == WEFT_NEVER)
        return pthread_cond_wait(cond, lock) == 0;
    const int64_t second = 1000 * WEFT_MS, at = until_ns < 0 ? 0 : until_ns;
    const struct timespec when = {.tv_sec = (time_t)(at / second), .tv_nsec = (long)(at % second)};
    return pthread_cond_timedwait(cond, lock, &when) != ETIMEDOUT;
}

/* --- wires and inboxes --------------------------------------------------------------------- */

weft_wire *weft_wire_new(int from, int to)
{
    weft_wire *w = weft_calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    atomic_init(&w->refs, 1);
    w->end[0].seat = from;
    w->end[1].seat = to;
    return w;
}

weft_wire *weft_wire_ref(weft_wire *w)
{
    atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
    return w;
}

void weft_wire_unref(weft_wire *w)
{
    if (atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) == 1)
        weft_free(w);
}

weft_inbox *weft_hub_inbox(weft_hub *hub, int seat)
{
    return &hub->inboxes[seat];
}

/* Locked. Room for n letters besides those there and the ends to come. */
static bool make_room(weft_inbox *inbox, size_t n)
{
    const size_t need = inbox->count + inbox->ends + n;
    if (need <= inbox->cap)
        return true;
    const size_t cap = need < 16 ? 16 : 2 * need;
    weft_letter *letters = weft_calloc(cap, sizeof(*letters));
    if (letters == NULL)
        return false;
    for (size_t i = 0; i < inbox->count; i++)
        letters[i] = inbox->letters[(inbox->first + i) % inbox->cap];
    weft_free(inbox->letters);
    inbox->letters = letters;
    inbox->first = 0;
    inbox->cap = cap;
    return true;
}

static void append(weft_inbox *inbox, weft_letter letter)
{
    inbox->letters[(inbox->first + inbox->count) % inbox->cap] = letter;
    inbox->count++;
    pthread_cond_signal(&inbox->filled);
}

static weft_letter pop(weft_inbox *inbox)
{
    const weft_letter letter = inbox->letters[inbox->first];
    inbox->first = (inbox->first + 1) % inbox->cap;
    inbox->count--;
    return letter;
}

int weft_inbox_expect(weft_inbox *inbox)
{
    int rc = WEFT_EPEER;
    pthread_mutex_lock(&inbox->lock);
    if (!inbox->closed) {
        rc = make_room(inbox, 1) ? WEFT_OK : WEFT_ENOMEM;
        if (rc == WEFT_OK)
            inbox->ends++;
    }
    pthread_mutex_unlock(&inbox->lock);
    return rc;
}

void weft_inbox_unexpect(weft_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    if (inbox->ends > 0)
        inbox->ends--;
    pthread_mutex_unlock(&inbox->lock);
}

int weft_inbox_put(weft_inbox *inbox, weft_wire *wire, int end, weft_message *m)
{
    int rc = WEFT_EPEER;
    pthread_mutex_lock(&inbox->lock);
    if (!inbox->closed) {
        rc = make_room(inbox, 1) ? WEFT_OK : WEFT_ENOMEM;
        if (rc == WEFT_OK)
            append(inbox, (weft_letter){.wire = weft_wire_ref(wire), .end = end, .message = m});
    }
    pthread_mutex_unlock(&inbox->lock);
    return rc;
}

void weft_inbox_put_end(weft_inbox *inbox, weft_wire *wire, int end, const char *why)
{
    pthread_mutex_lock(&inbox->lock);
    if (!inbox->closed && inbox->ends > 0) {
        inbox->ends--;
        append(inbox, (weft_letter){.wire = weft_wire_ref(wire), .end = end, .why = why});
    }
    pthread_mutex_unlock(&inbox->lock);
}

bool weft_inbox_take(weft_inbox *inbox, int64_t until_ns, weft_letter *ret, bool *ret_kicked)
{
    bool got = false;
    pthread_mutex_lock(&inbox->lock);
    while (!inbox->kicked && inbox->count == 0 &&
           wait_until(&inbox->filled, &inbox->lock, until_ns))
        continue;
    *ret_kicked = inbox->kicked;
    inbox->kicked = false;
    if (!*ret_kicked && inbox->count > 0) {
        *ret = pop(inbox);
        got = true;
    }
    pthread_mutex_unlock(&inbox->lock);
    return got;
}

void weft_inbox_kick(weft_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->kicked = true;
    pthread_cond_signal(&inbox->filled);
    pthread_mutex_unlock(&inbox->lock);
}

/* Take no more letters; throw away those that are there, and tell who sent them on connections that
 * this seat never took up. */
static void close_inbox(weft_hub *hub, weft_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->closed = true;
    while (inbox->count > 0) {
        const weft_letter letter = pop(inbox);
        /* Not with two inboxes locked: two seats may close at the same time. */
        pthread_mutex_unlock(&inbox->lock);
        weft_wire *w = letter.wire;
        if (letter.message != NULL && w->end[letter.end].number == 0 && !w->end[letter.end].gone) {
            w->end[letter.end].gone = true;
            weft_inbox_put_end(weft_hub_inbox(hub, w->end[1 - letter.end].seat), w, 1 - letter.end,
                               "the peer closed its link");
        }
        weft_message_unref(letter.message);
        weft_wire_unref(w);
        pthread_mutex_lock(&inbox->lock);
    }
    inbox->ends = 0;
    weft_free(inbox->letters);
    inbox->letters = NULL;
    inbox->first = inbox->cap = 0;
    pthread_mutex_unlock(&inbox->lock);
}

/* --- the hub ------------------------------------------------------------------------------- */

int weft_hub_open(weft_hub **ret, int peers)
{
    if (ret == NULL || peers < 1 || peers > MOST_PEERS)
        return weft_fail(WEFT_EINVAL, "hub: %d peers, not 1 to %d", peers, MOST_PEERS);
    weft_hub *hub = weft_calloc(1, sizeof(*hub));
    if (hub == NULL)
        return weft_fail(WEFT_ENOMEM, "hub: out of memory");
    hub->claims = weft_calloc((size_t)peers, sizeof(hub->claims[0]));
    hub->inboxes = weft_calloc((size_t)peers, sizeof(hub->inboxes[0]));
    int rc = hub->claims == NULL || hub->inboxes == NULL
                 ? weft_fail(WEFT_ENOMEM, "hub: out of memory")
                 : WEFT_OK;
    if (rc == WEFT_OK && !init_monotonic(&hub->lock, &hub->changed))
        rc = weft_fail(WEFT_EIO, "hub: no mutex");
    if (rc != WEFT_OK) {
        weft_free(hub->claims);
        weft_free(hub->inboxes);
        weft_free(hub);
        return rc;
    }
    while (rc == WEFT_OK && hub->peers < peers) {
        if (init_monotonic(&hub->inboxes[hub->peers].lock, &hub->inboxes[hub->peers].filled))
            hub->peers++;
        else
            rc = weft_fail(WEFT_EIO, "hub: no mutex");
    }
    if (rc != WEFT_OK)
        weft_hub_close(&hub);
    else
        *ret = hub;
    return rc;
}

void weft_hub_close(weft_hub **ret)
{
    weft_hub *hub = ret != NULL ? *ret : NULL;
    if (hub == NULL)
        return;
    *ret = NULL;
    for (int i = 0; i < hub->peers; i++) {
        close_inbox(hub, &hub->inboxes[i]);
        pthread_cond_destroy(&hub->inboxes[i].filled);
        pthread_mutex_destroy(&hub->inboxes[i].lock);
    }
    pthread_cond_destroy(&hub->changed);
    pthread_mutex_destroy(&hub->lock);
    weft_free(hub->inboxes);
    weft_free(hub->claims);
    weft_free(hub);
}

int weft_hub_peers(const weft_hub *hub)
{
    return hub->peers;
}

/* Locked. Wished seats first, then what is left, by order of arrival. */
static void assign(weft_hub *hub)
{
    int next = 0;
    for (int i = 0; i < hub->arrived; i++)
        hub->claims[i]->seat = hub->claims[i]->rank;
    for (int i = 0; i < hub->arrived; i++) {
        if (hub->claims[i]->rank >= 0)
            continue;
        for (int j = 0; j < hub->arrived;) {
            const bool taken = hub->claims[j]->seat == next;
            next += taken;
            j = taken ? 0 : j + 1;
        }
        hub->claims[i]->seat = next;
    }
}

/* Locked. "ranks 1, 3" where all who came wished one, else "2 more". */
static void name_missing(const weft_hub *hub, char text[MISSING_TEXT])
{
    for (int i = 0; i < hub->arrived; i++) {
        if (hub->claims[i]->rank < 0) {
            snprintf(text, MISSING_TEXT, "%d more", hub->peers - hub->arrived);
            return;
        }
    }
    int len = snprintf(text, MISSING_TEXT, "rank");
    for (int rank = 0, named = 0; rank < hub->peers; rank++) {
        int i = 0;
        while (i < hub->arrived && hub->claims[i]->rank != rank)
            i++;
        if (i < hub->arrived)
            continue;
        if (len > MISSING_TEXT - 16) {
            snprintf(text + len, (size_t)(MISSING_TEXT - len), ", …");
            return;
        }
        len +=
            snprintf(text + len, (size_t)(MISSING_TEXT - len), named++ > 0 ? ", %d" : " %d", rank);
    }
}

static void withdraw(weft_hub *hub, const claim *mine)
{
    int i = 0;
    while (hub->claims[i] != mine)
        i++;
    memmove(&hub->claims[i], &hub->claims[i + 1],
            (size_t)(hub->arrived - i - 1) * sizeof(hub->claims[0]));
    hub->arrived--;
}

/* Locked. Wait in the round that takes claims until all came. */
static int wait_for_all(weft_hub *hub, claim *mine, int64_t deadline_ns)
{
    const uint64_t round = hub->round;
    hub->claims[hub->arrived++] = mine;
    if (hub->arrived == hub->peers) {
        assign(hub);
        hub->arrived = 0;
        hub->seated = true;
        hub->round++;
        pthread_cond_broadcast(&hub->changed);
    }
    while (hub->round == round) {
        if (wait_until(&hub->changed, &hub->lock, deadline_ns) || hub->round != round)
            continue;
        char missing[MISSING_TEXT];
        name_missing(hub, missing);
        const int came = hub->arrived;
        withdraw(hub, mine);
        return weft_fail(WEFT_ETIMEDOUT, "hub: %d of %d peers came; missing: %s", came, hub->peers,
                         missing);
    }
    return WEFT_OK;
}

int weft_hub_seat(weft_hub *hub, int rank, int64_t deadline_ns, int *ret_seat)
{
    if (rank < -1 || rank >= hub->peers)
        return weft_fail(WEFT_EINVAL, "hub: rank %d, not 0 to %d or -1", rank, hub->peers - 1);
    claim mine = {.rank = rank};
    int rc = WEFT_OK;
    pthread_mutex_lock(&hub->lock);
    while (rc == WEFT_OK && hub->seated) {
        if (!wait_until(&hub->changed, &hub->lock, deadline_ns) && hub->seated)
            rc = weft_fail(WEFT_ETIMEDOUT,
                           "hub: %d of the %d peers that met here before have not left",
                           hub->peers - hub->left, hub->peers);
    }
    for (int i = 0; rc == WEFT_OK && rank >= 0 && i < hub->arrived; i++) {
        if (hub->claims[i]->rank == rank)
            rc = weft_fail_rank(WEFT_EDUPLICATE, rank, "hub: two peers claim rank %d", rank);
    }
    if (rc == WEFT_OK)
        rc = wait_for_all(hub, &mine, deadline_ns);
    pthread_mutex_unlock(&hub->lock);
    if (rc == WEFT_OK)
        *ret_seat = mine.seat;
    return rc;
}

void weft_hub_leave(weft_hub *hub, int seat)
{
    close_inbox(hub, &hub->inboxes[seat]);
    pthread_mutex_lock(&hub->lock);
    if (++hub->left == hub->peers) {
        for (int i = 0; i < hub->peers; i++) {
            pthread_mutex_lock(&hub->inboxes[i].lock);
            hub->inboxes[i].closed = false;
            hub->inboxes[i].kicked = false;
            pthread_mutex_unlock(&hub->inboxes[i].lock);
        }
        hub->left = 0;
        hub->seated = false;
        pthread_cond_broadcast(&hub->changed);
    }
    pthread_mutex_unlock(&hub->lock);
}
