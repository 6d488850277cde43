/* SPDX-License-Identifier: Apache-2.0 */
#include "roster/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#define REAP_NS (100 * WEFT_MS)

size_t weft_board_limit(int peers)
{
    return 2 * (size_t)peers + 16;
}

int weft_board_open(weft_board *b, const weft_meeting *m, const weft_entry *self)
{
    *b = (weft_board){.m = m, .tag = weft_hash64(m->job, strlen(m->job))};
    if (!weft_grow((void **)&b->known, &b->cap, 1, sizeof(*b->known)))
        return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    b->known[0] = (weft_known){.entry = *self,
                               .process = weft_process_self(),
                               .stamp = 1,
                               .state = WEFT_KNOWN_HERE,
                               .changed = ++b->clock};
    b->known[0].entry.arrival = (uint64_t)weft_now();
    b->known[0].entry.ready = 0;
    b->count = 1;
    return WEFT_OK;
}

void weft_board_close(weft_board *b)
{
    weft_free(b->known);
    b->known = NULL;
    b->count = b->cap = 0;
}

weft_known *weft_board_find(const weft_board *b, const uint8_t uuid[16])
{
    for (size_t i = 0; i < b->count; i++)
        if (memcmp(b->known[i].entry.uuid, uuid, 16) == 0)
            return &b->known[i];
    return NULL;
}

void weft_board_touch(weft_board *b, weft_known *k)
{
    k->changed = ++b->clock;
}

/* Where one more entry goes: behind the others, else over one that left and is not listed. */
static int place_for(weft_board *b, weft_known **ret)
{
    if (b->count < weft_board_limit(b->m->peers)) {
        if (!weft_grow((void **)&b->known, &b->cap, b->count + 1, sizeof(*b->known)))
            return weft_fail(WEFT_ENOMEM, "meeting: out of memory for %zu peers", b->count + 1);
        *ret = &b->known[b->count++];
        return WEFT_OK;
    }
    for (size_t i = 1; i < b->count; i++)
        if (b->known[i].state != WEFT_KNOWN_HERE && !b->known[i].listed) {
            *ret = &b->known[i];
            return WEFT_OK;
        }
    *ret = NULL;
    return WEFT_OK;
}

int weft_board_learn(weft_board *b, const weft_known *news)
{
    weft_known *k = weft_board_find(b, news->entry.uuid);
    if (k == &b->known[0])
        return 0;
    if (k && k->state == WEFT_KNOWN_VANISHED && news->stamp >= k->stamp) {
        /* It was only looked for at the wrong moment. */
    } else if (k && news->stamp <= k->stamp) {
        return 0;
    }
    bool listed = k && k->listed;
    if (!k) {
        int status = place_for(b, &k);
        if (status != WEFT_OK)
            return status;
        if (!k) {
            if (b->refused++ == 0)
                weft_log_write(b->m->log, WEFT_LOG_WARN,
                               "meeting: %zu entries known for %d peers, more are refused",
                               b->count, b->m->peers);
            return 0;
        }
    }
    *k = *news;
    k->listed = listed;
    weft_board_touch(b, k);
    char name[192];
    weft_known_name(k, name, sizeof(name));
    weft_log_write(b->m->log, WEFT_LOG_DEBUG, "meeting: %s %s", name,
                   k->state == WEFT_KNOWN_GAVE_UP ? "gave up"
                   : k->state == WEFT_KNOWN_DEAD  ? "died"
                   : k->entry.ready               ? "confirms its list"
                                                  : "is here");
    return 1;
}

bool weft_board_reap(weft_board *b, int64_t now_ns, bool force)
{
    bool changed = false;
    if (!force && now_ns - b->reaped_ns < REAP_NS)
        return false;
    b->reaped_ns = now_ns;
    for (size_t i = 1; i < b->count; i++) {
        weft_known *k = &b->known[i];
        if (k->state != WEFT_KNOWN_HERE ||
            memcmp(k->entry.host, b->known[0].entry.host, sizeof(k->entry.host)) != 0 ||
            !weft_process_dead(&k->process))
            continue;
        k->state = WEFT_KNOWN_DEAD;
        k->stamp++; /* its owner will not any more */
        k->from = 0;
        weft_board_touch(b, k);
        changed = true;
    }
    return changed;
}

void weft_board_give_up(weft_board *b, int code, const char *why)
{
    weft_known *self = &b->known[0];
    self->state = WEFT_KNOWN_GAVE_UP;
    self->code = code;
    snprintf(self->why, sizeof(self->why), "%s", why);
    for (char *c = self->why; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    self->stamp++;
    weft_board_touch(b, self);
}

void weft_known_name(const weft_known *k, char *out, size_t cap)
{
    const char *where = k->entry.endpoint[0][0] ? k->entry.endpoint[0] : k->entry.endpoint[1];
    if (k->entry.rank >= 0)
        snprintf(out, cap, "rank %d (%s)", k->entry.rank, where);
    else
        snprintf(out, cap, "the peer at %s", where);
}

/* Does it count for the list? Those that are here; and of the list that was confirmed those that
 * left in order (they had started, else they would have said that they give up) or died after their
 * confirmation (others may have started: the loss is found at the first operation). */
static bool is_member(const weft_known *k)
{
    if (k->state == WEFT_KNOWN_HERE)
        return true;
    return k->listed && (k->state == WEFT_KNOWN_VANISHED ||
                         (k->state == WEFT_KNOWN_DEAD && k->entry.ready != 0));
}

static int order(const void *left, const void *right)
{
    const weft_entry *a = &(*(weft_known *const *)left)->entry;
    const weft_entry *b = &(*(weft_known *const *)right)->entry;
    if ((a->rank >= 0) != (b->rank >= 0))
        return a->rank >= 0 ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    int differs = memcmp(a->host, b->host, sizeof(a->host));
    if (differs)
        return differs;
    if (a->arrival != b->arrival)
        return a->arrival < b->arrival ? -1 : 1;
    return memcmp(a->uuid, b->uuid, sizeof(a->uuid));
}

/* The members sorted: first those with a rank, by rank, then the others. */
static weft_known **sorted_members(const weft_board *b, size_t *count)
{
    weft_known **list = weft_calloc(b->count, sizeof(*list));
    if (!list)
        return NULL;
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++)
        if (is_member(&b->known[i]))
            list[n++] = &b->known[i];
    qsort(list, n, sizeof(*list), order);
    *count = n;
    return list;
}

/* Members at their places: a wished rank at its own, the others fill the gaps in order. */
static bool take_places(weft_known **sorted, int peers, weft_known **place)
{
    int next = 0;
    for (int i = 0; i < peers; i++)
        place[i] = NULL;
    for (int i = 0; i < peers; i++) {
        int rank = sorted[i]->entry.rank;
        if (rank < 0) {
            while (place[next])
                next++;
            rank = next;
        } else if (rank >= peers || place[rank]) {
            return false;
        }
        place[rank] = sorted[i];
    }
    return true;
}

static size_t put_u64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
    return 8;
}

/* Hash of job and list, alike on machines of either byte order; never 0. */
static uint64_t list_hash(const weft_board *b, weft_known *const *place)
{
    uint64_t hash = b->tag;
    uint8_t bytes[8 + 16 + 16 + 8 + WEFT_ROSTER_ENDPOINTS * WEFT_ENDPOINT_TEXT];
    for (int i = 0; i < b->m->peers; i++) {
        const weft_entry *e = &place[i]->entry;
        size_t len = put_u64(bytes, hash);
        memcpy(bytes + len, e->uuid, 16);
        memcpy(bytes + len + 16, e->host, 16);
        len += 32;
        len += put_u64(bytes + len, (uint64_t)i);
        for (int w = 0; w < WEFT_ROSTER_ENDPOINTS; w++) {
            size_t text = strlen(e->endpoint[w]) + 1;
            memcpy(bytes + len, e->endpoint[w], text);
            len += text;
        }
        hash = weft_hash64(bytes, len);
    }
    return hash ? hash : 1;
}

/* Two that wish one rank. They are neighbours in the sorted list. */
static int check_ranks(weft_known *const *sorted, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const weft_entry *a = &sorted[i - 1]->entry, *c = &sorted[i]->entry;
        if (a->rank < 0 || a->rank != c->rank)
            continue;
        char left[192], right[192];
        weft_known_name(sorted[i - 1], left, sizeof(left));
        weft_known_name(sorted[i], right, sizeof(right));
        return weft_fail_rank(WEFT_EDUPLICATE, a->rank, "two peers claim one rank: %s and %s", left,
                              right);
    }
    return WEFT_OK;
}

/* What others said when they gave up. */
static int check_gave_up(const weft_board *b)
{
    for (size_t i = 1; i < b->count; i++) {
        const weft_known *k = &b->known[i];
        char name[192];
        if (k->state != WEFT_KNOWN_GAVE_UP)
            continue;
        weft_known_name(k, name, sizeof(name));
        if (k->code == WEFT_EDUPLICATE || k->code == WEFT_EVERSION || k->code == WEFT_EINVAL)
            return weft_fail_rank(k->code, k->entry.rank, "%s found: %s", name, k->why);
        if (k->listed)
            return weft_fail_rank(WEFT_EPEER, k->entry.rank, "%s gave up: %s", name, k->why);
    }
    return WEFT_OK;
}

static int too_many(const weft_board *b, weft_known *const *sorted, size_t count)
{
    char first[192], last[192];
    weft_known_name(sorted[0], first, sizeof(first));
    weft_known_name(sorted[count - 1], last, sizeof(last));
    return weft_fail(WEFT_EINVAL,
                     "%zu peers came for a group of %d, from %s to %s: is another run "
                     "of job \"%s\" at this place?",
                     count, b->m->peers, first, last, b->m->job);
}

static void unlist(weft_board *b, bool keep_here)
{
    for (size_t i = 0; i < b->count; i++)
        if (!keep_here || b->known[i].state != WEFT_KNOWN_HERE)
            b->known[i].listed = false;
}

static void set_ready(weft_board *b, uint64_t hash)
{
    weft_known *self = &b->known[0];
    if (self->entry.ready == hash)
        return;
    self->entry.ready = hash;
    self->stamp++;
    weft_board_touch(b, self);
}

/* All are here: confirm the list, and see whether the others did. */
static int confirm(weft_board *b, weft_known **sorted, weft_known **place)
{
    int peers = b->m->peers;
    if (!take_places(sorted, peers, place))
        return weft_fail(WEFT_EINTERNAL, "meeting: places of the list");
    uint64_t hash = list_hash(b, place);
    unlist(b, false);
    for (int i = 0; i < peers; i++)
        place[i]->listed = true;
    set_ready(b, hash);
    int status = WEFT_OK;
    for (int i = 0; i < peers; i++) {
        const bool vanished = place[i]->state == WEFT_KNOWN_VANISHED;
        if (place[i]->entry.ready == hash || (vanished && place[i]->entry.ready == 0))
            continue;
        /* One that vanished after it confirmed another list was of an earlier group. */
        place[i]->listed = !vanished;
        status = WEFT_PENDING;
    }
    return status;
}

int weft_board_judge(weft_board *b)
{
    size_t count = 0, peers = (size_t)b->m->peers;
    int status = check_gave_up(b);
    if (status != WEFT_OK)
        return status;
    weft_known **sorted = sorted_members(b, &count), **place = NULL;
    if (sorted && count > peers) {
        /* One that left was replaced. */
        unlist(b, true);
        weft_free(sorted);
        sorted = sorted_members(b, &count);
    }
    if (!sorted)
        return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    status = check_ranks(sorted, count);
    if (status == WEFT_OK && count > peers)
        status = too_many(b, sorted, count);
    if (status == WEFT_OK && count < peers) {
        unlist(b, false);
        set_ready(b, 0);
        status = WEFT_PENDING;
    } else if (status == WEFT_OK) {
        place = weft_calloc(peers, sizeof(*place));
        status =
            place ? confirm(b, sorted, place) : weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    }
    weft_free(place);
    weft_free(sorted);
    return status;
}

int weft_board_list(weft_board *b, weft_roster *ret)
{
    size_t count = 0, peers = (size_t)b->m->peers;
    int status = WEFT_OK;
    weft_known **sorted = sorted_members(b, &count);
    weft_known **place = weft_calloc(peers, sizeof(*place));
    weft_entry *entries = weft_calloc(peers, sizeof(*entries));
    if (!sorted || !place || !entries) {
        status = weft_fail(WEFT_ENOMEM, "meeting: out of memory for %zu peers", peers);
        goto out;
    }
    if (count != peers || !take_places(sorted, b->m->peers, place)) {
        status = weft_fail(WEFT_EINTERNAL, "meeting: list of %zu for %zu peers", count, peers);
        goto out;
    }
    ret->hash = list_hash(b, place);
    ret->size = b->m->peers;
    for (int i = 0; i < b->m->peers; i++) {
        entries[i] = place[i]->entry;
        entries[i].ready = ret->hash;
        if (place[i] == &b->known[0])
            ret->rank = i;
    }
    ret->entries = entries;
    entries = NULL;
out:
    weft_free(entries);
    weft_free(place);
    weft_free(sorted);
    return status;
}

/* Appends what fits. */
static void add(char *out, size_t cap, size_t *len, const char *text)
{
    size_t more = strlen(text);
    if (*len + more >= cap)
        more = cap - 1 - *len;
    memcpy(out + *len, text, more);
    *len += more;
    out[*len] = '\0';
}

/* Ranks that no live peer wished, as "2, 5-7"; how many. -1: not all have ranks. */
static int missing_ranks(const weft_board *b, char *out, size_t cap, int *first)
{
    int peers = b->m->peers, missing = 0, shown = 0;
    size_t len = 0;
    bool *there = weft_calloc((size_t)peers, sizeof(*there));
    if (!there)
        return -1;
    for (size_t i = 0; i < b->count; i++) {
        const weft_known *k = &b->known[i];
        if (k->state != WEFT_KNOWN_HERE)
            continue;
        if (k->entry.rank < 0 || k->entry.rank >= peers) {
            weft_free(there);
            return -1;
        }
        there[k->entry.rank] = true;
    }
    out[0] = '\0';
    for (int r = 0; r < peers; r++) {
        if (there[r])
            continue;
        int last = r;
        while (last + 1 < peers && !there[last + 1])
            last++;
        if (missing == 0)
            *first = r;
        missing += last - r + 1;
        char text[48];
        if (last > r)
            snprintf(text, sizeof(text), "%s%d-%d", shown ? ", " : "", r, last);
        else
            snprintf(text, sizeof(text), "%s%d", shown ? ", " : "", r);
        if (shown < 8)
            add(out, cap, &len, text);
        else if (shown == 8)
            add(out, cap, &len, " and more");
        shown++;
        r = last;
    }
    weft_free(there);
    return missing;
}

void weft_board_missing(const weft_board *b, char *out, size_t cap, int *ret_rank)
{
    char text[256], name[192];
    size_t len = 0, here = 0;
    *ret_rank = -1;
    for (size_t i = 0; i < b->count; i++)
        here += b->known[i].state == WEFT_KNOWN_HERE;
    if (here < (size_t)b->m->peers) {
        char ranks[128];
        int missing = missing_ranks(b, ranks, sizeof(ranks), ret_rank);
        snprintf(text, sizeof(text), "%zu of %d peers came", here, b->m->peers);
        add(out, cap, &len, text);
        if (missing > 0) {
            snprintf(text, sizeof(text), ", missing rank%s %s", missing > 1 ? "s" : "", ranks);
            add(out, cap, &len, text);
        }
    } else {
        snprintf(text, sizeof(text), "all %d peers came", b->m->peers);
        add(out, cap, &len, text);
        for (size_t i = 1, shown = 0; i < b->count && shown < 4; i++) {
            const weft_known *k = &b->known[i];
            if (k->state != WEFT_KNOWN_HERE || k->entry.ready == b->known[0].entry.ready)
                continue;
            weft_known_name(k, name, sizeof(name));
            snprintf(text, sizeof(text), ", %s did not confirm the list", name);
            add(out, cap, &len, text);
            if (shown++ == 0)
                *ret_rank = k->entry.rank;
        }
    }
    for (size_t i = 1, shown = 0; i < b->count && shown < 4; i++) {
        const weft_known *k = &b->known[i];
        if (k->state == WEFT_KNOWN_HERE)
            continue;
        weft_known_name(k, name, sizeof(name));
        snprintf(text, sizeof(text), ", %s came and %s", name,
                 k->state == WEFT_KNOWN_DEAD ? "died" : "left");
        add(out, cap, &len, text);
        shown++;
    }
}
