/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meeting at seed endpoints. Whoever owns one of the addresses serves there, and everybody, servers
 * too, dials the others. Then all tell all what they know (peer_frame.h): on a new connection
 * everything, later what changed. So any one live seed will do, and no server is special: if it is
 * gone, the next process of its host takes the port over.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "roster/address.h"
#include "roster/finder.h"
#include "roster/peer_frame.h"
#include "wire/frame.h"

#define BACKOFF_MIN_NS (10 * WEFT_MS)
#define BACKOFF_MAX_NS (200 * WEFT_MS)

enum {
    PLACES = 64,
    CONN_END = 0x10000, /* numbers of dialled connections are even and below */
    EARLY_PER_PEER = 16,
    DRAIN = 4096, /* events taken before answering */
};

/* One of the listed endpoints. */
typedef struct place {
    weft_seed_place at;
    bool ours, served; /* ours: the address is of this host; served: by this process */
    uint32_t conn;     /* 0: not dialled */
    bool answered;     /* a weft of this job spoke there */
    int64_t next_ns, backoff_ns;
    char trouble[160];       /* what went wrong last */
    char job[WEFT_JOB_TEXT]; /* that of the weft there, when it is another */
} place;

/* A connection over which entries go. */
typedef struct talk {
    uint32_t conn;
    int place; /* -1: accepted */
    bool up;
    uint64_t told; /* the board's clock when it was last told */
} talk;

typedef struct find_seed {
    weft_finder finder;
    weft_board *board;
    weft_voice voice;
    place places[PLACES];
    int place_count;
    talk *talks;
    size_t talk_count, talk_cap;
    uint32_t next_conn;
    weft_link_event *early;
    size_t early_count, early_cap;
    size_t malformed;
} find_seed;

struct weft_seed {
    weft_voice voice;
    char job[WEFT_JOB_TEXT];
    weft_known *known;
    size_t count;
};

static talk *find_talk(const find_seed *f, uint32_t conn)
{
    for (size_t i = 0; i < f->talk_count; i++)
        if (f->talks[i].conn == conn)
            return &f->talks[i];
    return NULL;
}

static int add_talk(find_seed *f, uint32_t conn, int where, bool up)
{
    if (!weft_grow((void **)&f->talks, &f->talk_cap, f->talk_count + 1, sizeof(*f->talks)))
        return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    f->talks[f->talk_count++] = (talk){.conn = conn, .place = where, .up = up};
    return WEFT_OK;
}

/* The connection is gone; a place is dialled again after a while. */
static void end_talk(find_seed *f, uint32_t conn, const char *why)
{
    talk *t = find_talk(f, conn);
    if (!t)
        return;
    if (t->place >= 0) {
        place *p = &f->places[t->place];
        p->conn = 0;
        p->next_ns = weft_now() + p->backoff_ns;
        p->backoff_ns = 2 * p->backoff_ns > BACKOFF_MAX_NS ? BACKOFF_MAX_NS : 2 * p->backoff_ns;
        snprintf(p->trouble, sizeof(p->trouble), "%s", why);
    }
    *t = f->talks[--f->talk_count];
}

static void drop_talk(find_seed *f, uint32_t conn, const char *why)
{
    f->voice.link->type->drop(f->voice.link, conn);
    end_talk(f, conn, why);
}

/* Tell everybody what changed since they were told. */
static int tell_all(find_seed *f)
{
    weft_board *b = f->board;
    for (size_t i = 0; i < f->talk_count; i++) {
        talk *t = &f->talks[i];
        if (!t->up || t->told >= b->clock)
            continue;
        int status = weft_voice_tell(&f->voice, t->conn, b->known, b->count, t->told);
        if (status == WEFT_EPEER)
            t->up = false; /* the link says DOWN and why */
        else if (status != WEFT_OK)
            return status;
        else
            t->told = b->clock;
    }
    return WEFT_OK;
}

/* Listen at a place of this host. false: somebody else does, or it is not possible. */
static bool serve(find_seed *f, place *p, const struct sockaddr_storage *address)
{
    char text[WEFT_ADDRESS_TEXT], endpoint[WEFT_ADDRESS_TEXT + 16];
    weft_address_text(address, text);
    /* Others know this host by another address than it does itself: listen on all. */
    if (weft_address_own_name(&p->at, address))
        strcpy(text, "0.0.0.0");
    snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", text, p->at.port);
    if (f->voice.link->type->bind(f->voice.link, endpoint) != WEFT_OK) {
        snprintf(p->trouble, sizeof(p->trouble), "%s", weft_last_error()->message);
        return false;
    }
    p->served = true;
    weft_log_write(f->board->m->log, WEFT_LOG_INFO, "meeting: serving at %s", endpoint);
    return true;
}

static uint32_t take_conn(find_seed *f)
{
    do {
        f->next_conn = f->next_conn + 2 < CONN_END ? f->next_conn + 2 : 2;
    } while (find_talk(f, f->next_conn));
    return f->next_conn;
}

/* Serve the place or dial it. */
static int try_place(find_seed *f, int index)
{
    place *p = &f->places[index];
    struct sockaddr_storage address;
    char text[WEFT_ADDRESS_TEXT], endpoint[WEFT_ADDRESS_TEXT + 16];
    p->next_ns = weft_now() + p->backoff_ns;
    /* Asked anew each time: in some clusters a name appears with its host. */
    if (weft_address_resolve(&p->at, &address) != WEFT_OK) {
        snprintf(p->trouble, sizeof(p->trouble), "%s", weft_last_error()->message);
        p->backoff_ns = BACKOFF_MAX_NS;
        p->next_ns = weft_now() + BACKOFF_MAX_NS; /* after what the resolver took */
        return WEFT_OK;
    }
    p->ours = weft_address_local(&address);
    if (p->ours && serve(f, p, &address))
        return WEFT_OK;
    uint32_t conn = take_conn(f);
    weft_address_text(&address, text);
    snprintf(endpoint, sizeof(endpoint), "tcp://%s:%d", text, p->at.port);
    int status = f->voice.link->type->dial(f->voice.link, conn, endpoint);
    if (status != WEFT_OK)
        return status;
    p->conn = conn;
    return add_talk(f, conn, index, false);
}

/* A resolver may take seconds for a name: no further place is tried once the deadline has passed.
 */
static int try_places(find_seed *f)
{
    int64_t now = weft_now();
    for (int i = 0; i < f->place_count && now < f->board->m->deadline_ns; i++) {
        const place *p = &f->places[i];
        if (p->served || p->conn || now < p->next_ns)
            continue;
        int status = try_place(f, i);
        now = weft_now();
        if (status != WEFT_OK)
            return status;
    }
    return WEFT_OK;
}

/* Put an event away for the engine. Takes the message. */
static int keep_early(find_seed *f, const weft_link_event *event)
{
    size_t limit = EARLY_PER_PEER * (size_t)f->board->m->peers;
    if (f->early_count >= limit) {
        weft_message_unref(event->message);
        if (event->what == WEFT_LINK_FRAME) {
            weft_log_write(f->board->m->log, WEFT_LOG_WARN,
                           "meeting: %zu frames came before all were here, connection %u dropped",
                           f->early_count, (unsigned)event->conn);
            f->voice.link->type->drop(f->voice.link, event->conn);
        }
        return WEFT_OK;
    }
    if (!weft_grow((void **)&f->early, &f->early_cap, f->early_count + 1, sizeof(*f->early))) {
        weft_message_unref(event->message);
        return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    }
    f->early[f->early_count++] = *event;
    return WEFT_OK;
}

static bool is_early(const find_seed *f, uint32_t conn)
{
    for (size_t i = 0; i < f->early_count; i++)
        if (f->early[i].conn == conn)
            return true;
    return false;
}

/* Entries of a peer of this job. */
static int learn_all(find_seed *f, talk *t, weft_telling *telling)
{
    weft_known news;
    char name[192] = "a peer";
    if (t->place >= 0)
        f->places[t->place].answered = true;
    if (telling->peers != f->board->m->peers) {
        while (weft_telling_next(telling, &news))
            if (memcmp(news.entry.uuid, telling->sender, 16) == 0)
                weft_known_name(&news, name, sizeof(name));
        return weft_fail(WEFT_EINVAL, "%s expects %d peers, this one %d", name, telling->peers,
                         f->board->m->peers);
    }
    while (weft_telling_next(telling, &news)) {
        news.from = t->conn;
        int status = weft_board_learn(f->board, &news);
        if (status < 0)
            return status;
    }
    return WEFT_OK;
}

/* A ROSTER frame that was checked as a frame. */
static int take_roster(find_seed *f, uint32_t conn, const weft_frame *h, const uint8_t *body)
{
    weft_telling telling;
    talk *t = find_talk(f, conn);
    if (!t) {
        /* Anybody may connect; so many are more than there are peers and tries of theirs. */
        if (f->talk_count >= PLACES + 4 * (size_t)f->board->m->peers) {
            f->voice.link->type->drop(f->voice.link, conn);
            return WEFT_OK;
        }
        int status = add_talk(f, conn, -1, true);
        if (status != WEFT_OK)
            return status;
        t = find_talk(f, conn);
    }
    if (weft_telling_open(body, h->body_bytes, &telling) != WEFT_OK) {
        f->malformed++;
        weft_log_write(f->board->m->log, WEFT_LOG_WARN, "meeting: connection dropped: %s",
                       weft_last_error()->message);
        drop_talk(f, conn, weft_last_error()->message);
        return WEFT_OK;
    }
    if (telling.what == WEFT_ROSTER_TOLD && h->group == f->voice.tag)
        return learn_all(f, t, &telling);
    if (telling.what == WEFT_ROSTER_TOLD) {
        weft_log_write(f->board->m->log, WEFT_LOG_WARN,
                       "meeting: a peer of another job came, this one is \"%s\"", f->voice.job);
        weft_voice_other_job(&f->voice, conn);
        t->up = false; /* nothing more for it */
    } else if (t->place >= 0) {
        place *p = &f->places[t->place];
        memcpy(p->job, telling.job, sizeof(p->job));
        p->backoff_ns = BACKOFF_MAX_NS;
        drop_talk(f, conn, "another job meets there");
    }
    return WEFT_OK;
}

/* A frame of any kind. Takes the message. */
static int take_frame(find_seed *f, const weft_link_event *event)
{
    weft_message *m = event->message;
    weft_frame h = {0};
    int status = weft_frame_get(m->data, m->len, &h);
    if (status == WEFT_OK && h.kind != WEFT_FRAME_ROSTER) {
        const talk *t = find_talk(f, event->conn);
        if (!t || t->place < 0)
            return keep_early(f, event);
        status = weft_fail(WEFT_EPROTO, "%s frame from a seed", weft_frame_kind_name(h.kind));
    }
    if (status == WEFT_OK) {
        status = take_roster(f, event->conn, &h, m->data + WEFT_FRAME_HEADER);
    } else if (status == WEFT_EVERSION) {
        /* Tell it who we are, so that it sees the same. */
        if (!find_talk(f, event->conn))
            add_talk(f, event->conn, -1, true);
        weft_fail(WEFT_EVERSION, "meeting at %s: %s", f->board->m->meet,
                  weft_last_error()->message);
    } else {
        f->malformed++;
        weft_log_write(f->board->m->log, WEFT_LOG_WARN, "meeting: connection dropped: %s",
                       weft_last_error()->message);
        drop_talk(f, event->conn, weft_last_error()->message);
        status = WEFT_OK;
    }
    weft_message_unref(m);
    return status;
}

static int take_event(find_seed *f, const weft_link_event *event)
{
    talk *t;
    switch (event->what) {
    case WEFT_LINK_UP:
        t = find_talk(f, event->conn);
        if (t) {
            t->up = true;
            f->places[t->place].backoff_ns = BACKOFF_MIN_NS;
        }
        return WEFT_OK;
    case WEFT_LINK_DOWN:
        end_talk(f, event->conn, event->why ? event->why : "connection lost");
        return is_early(f, event->conn) ? keep_early(f, event) : WEFT_OK;
    case WEFT_LINK_FRAME:
        return take_frame(f, event);
    default:
        return WEFT_OK;
    }
}

static int publish(weft_finder *finder)
{
    return tell_all((find_seed *)finder);
}

static int wait_seed(weft_finder *finder, int64_t until_ns)
{
    find_seed *f = (find_seed *)finder;
    weft_link *link = f->voice.link;
    int status = try_places(f);
    int64_t due = until_ns;
    for (int i = 0; i < f->place_count; i++) {
        const place *p = &f->places[i];
        if (!p->served && !p->conn && p->next_ns < due)
            due = p->next_ns;
    }
    for (int i = 0; status == WEFT_OK && i < DRAIN; i++) {
        weft_link_event event = {.what = WEFT_LINK_NOTHING};
        status = link->type->poll(link, i == 0 ? due : 0, &event);
        if (status == WEFT_OK && event.what == WEFT_LINK_NOTHING)
            break;
        if (status == WEFT_OK)
            status = take_event(f, &event);
    }
    return status == WEFT_OK ? tell_all(f) : status;
}

/* The places of the list; none twice. */
static int read_places(find_seed *f, const char *meet)
{
    weft_seed_place next;
    int got;
    const char *at = meet;
    while ((got = weft_seed_place_next(&at, &next)) > 0) {
        bool twice = false;
        for (int i = 0; i < f->place_count; i++)
            twice = twice || (strcmp(f->places[i].at.host, next.host) == 0 &&
                              f->places[i].at.port == next.port);
        if (twice)
            continue;
        if (f->place_count == PLACES)
            return weft_fail(WEFT_EINVAL, "meeting place: more than %d endpoints", PLACES);
        f->places[f->place_count++] = (place){.at = next, .backoff_ns = BACKOFF_MIN_NS};
    }
    return got;
}

static void close_seed(weft_finder **finder)
{
    find_seed *f = (find_seed *)*finder;
    for (size_t i = 0; i < f->early_count; i++)
        weft_message_unref(f->early[i].message);
    weft_free(f->early);
    weft_free(f->talks);
    weft_free(f);
    *finder = NULL;
}

static int open_seed(weft_finder **ret, weft_board *board, weft_link *link)
{
    if (!link)
        return weft_fail(WEFT_EINVAL, "meeting at %s: needs a link", board->m->meet);
    find_seed *f = weft_calloc(1, sizeof(*f));
    if (!f)
        return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    f->finder.type = &weft_finder_seed;
    f->board = board;
    f->voice = (weft_voice){
        .link = link, .tag = board->tag, .job = board->m->job, .peers = board->m->peers};
    memcpy(f->voice.uuid, board->known[0].entry.uuid, 16);
    int status = read_places(f, board->m->meet);
    if (status != WEFT_OK) {
        weft_free(f);
        return status;
    }
    *ret = &f->finder;
    return WEFT_OK;
}

/* Connections that were dialled end; what was sent on them still goes out. */
static void hang_up(find_seed *f)
{
    for (size_t i = 0; i < f->talk_count; i++)
        if (f->talks[i].place >= 0)
            f->voice.link->type->drop(f->voice.link, f->talks[i].conn);
    f->talk_count = 0;
}

/* The agreed list for those who come back for it. */
static int make_seed(const find_seed *f, const weft_roster *roster, weft_seed **ret)
{
    const weft_board *b = f->board;
    weft_seed *seed = weft_calloc(1, sizeof(*seed));
    weft_known *known = weft_calloc((size_t)roster->size, sizeof(*known));
    if (!seed || !known) {
        weft_free(seed);
        weft_free(known);
        return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    }
    seed->voice = f->voice;
    seed->known = known;
    snprintf(seed->job, sizeof(seed->job), "%s", f->voice.job);
    seed->voice.job = seed->job;
    for (size_t i = 0; i < b->count && seed->count < (size_t)roster->size; i++)
        if (b->known[i].listed) {
            known[seed->count] = b->known[i];
            known[seed->count].from = 0;
            known[seed->count++].changed = 1;
        }
    *ret = seed;
    return WEFT_OK;
}

static int finish(weft_finder *finder, weft_roster *ret)
{
    find_seed *f = (find_seed *)finder;
    int status = make_seed(f, ret, &ret->seed);
    /* Whoever is connected here may have no other way to learn that the list is complete. */
    if (status == WEFT_OK)
        status = tell_all(f);
    if (status != WEFT_OK)
        return status;
    hang_up(f);
    ret->early = f->early;
    ret->early_count = f->early_count;
    f->early = NULL;
    f->early_count = 0;
    return WEFT_OK;
}

static void leave(weft_finder *finder, bool urgent)
{
    find_seed *f = (find_seed *)finder;
    (void)urgent; /* what was sent goes out when the link is closed */
    tell_all(f);
    hang_up(f);
}

/* How one place fared. */
static void describe_place(const place *p, char *out, size_t cap)
{
    if (p->served)
        snprintf(out, cap, "served by this process");
    else if (p->job[0])
        snprintf(out, cap, "serves job \"%s\", not this one", p->job);
    else if (p->ours && !p->answered)
        snprintf(out, cap,
                 "this host's port %d is taken, and who holds it does not answer as weft "
                 "(choose another: WEFT_MEET_PORT, or MASTER_PORT under torchrun; or "
                 "WEFT_MEET): %s",
                 p->at.port, p->trouble[0] ? p->trouble : "no answer");
    else if (p->answered)
        snprintf(out, cap, "reached%s%s", p->conn ? "" : ", then ", p->conn ? "" : p->trouble);
    else
        snprintf(out, cap, "no answer%s%s", p->trouble[0] ? ": " : "", p->trouble);
}

static void describe(const weft_finder *finder, char *out, size_t cap)
{
    const find_seed *f = (const find_seed *)finder;
    size_t len = (size_t)snprintf(out, cap, "tried:");
    for (int i = 0; i < f->place_count && len < cap; i++) {
        char how[400];
        describe_place(&f->places[i], how, sizeof(how));
        len += (size_t)snprintf(out + len, cap - len, "%s tcp://%s:%d (%s)", i ? "," : "",
                                f->places[i].at.host, f->places[i].at.port, how);
    }
    if (f->malformed > 0 && len < cap)
        snprintf(out + len, cap - len, ", %zu malformed frames dropped", f->malformed);
}

void weft_seed_frame(weft_seed *seed, weft_link *link, uint32_t conn, weft_message *m)
{
    weft_frame h = {0};
    int status = weft_frame_get(m->data, m->len, &h);
    bool asks =
        seed && ((status == WEFT_OK && h.kind == WEFT_FRAME_ROSTER) || status == WEFT_EVERSION);
    weft_message_unref(m);
    if (!asks)
        return;
    seed->voice.link = link;
    if (status == WEFT_OK && h.group != seed->voice.tag)
        weft_voice_other_job(&seed->voice, conn);
    else
        weft_voice_tell(&seed->voice, conn, seed->known, seed->count, 0);
    link->type->drop(link, conn); /* the list will not change: one answer is all there is */
}

void weft_seed_free(weft_seed **seed)
{
    if (*seed)
        weft_free((*seed)->known);
    weft_free(*seed);
    *seed = NULL;
}

const weft_finder_type weft_finder_seed = {
    .name = "seed",
    .scheme = "tcp://",
    .summary = "endpoints that all peers know, any peer serves its own: tcp://a:7000,tcp://b:7000",
    .open = open_seed,
    .publish = publish,
    .wait = wait_seed,
    .finish = finish,
    .leave = leave,
    .describe = describe,
    .close = close_seed,
};
