/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session with a peer that sends what it likes: the input is a list of frames, events and calls
 * for one engine of two ranks or three. Headers get right sums (mostly), so that what lies behind
 * those checks is reached. Nothing may crash, what is kept stays within its bounds, and every call
 * ends: once the peer has fallen silent at the latest.
 *
 * An input: one byte of setting, then records of 8 bytes: action, rank, and six of arguments. With
 * 128 in the setting there is a second group, of all ranks the other way round, which is entered
 * and left, and sends and receives with two tags in both.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collectives/algo.h"
#include "engine/engine_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    RECORD = 8,
    RECORDS_MOST = 400,
    CALLS = 6,
    COUNT = 96,
    LANE = 16,
    BODY_MOST = 4096,
    GROUP = 0x77,
    CHILD = 0x7777,
    TAGS = 2,
    RANKS = 3
};

typedef struct session {
    weft_engine *engine;
    weft_pool *pool;
    int rank, size;
    int64_t now;
    weft_request *requests[CALLS];
    bool ended[CALLS];
    int called;
    float in[COUNT], out[CALLS][COUNT];
    uint32_t conn[RANKS], next_conn;
    uint32_t sequence[RANKS];
    int dials;
    bool groups;         /* there is a second group */
    weft_context *child; /* NULL: it was left */
    bool entered;
    bool closed; /* the opened group was left */
    weft_request *enter, *leave, *close;
} session;

/* What the peer may call an operation: the same as this side, or not. */
static const char *const words[] = {"allreduce ring", "broadcast", "something else",
                                    "transfer uint8"};

static bool outlet_send(void *user, uint32_t conn, weft_message *m)
{
    const session *s = user;
    weft_frame f;
    if (weft_frame_get(m->data, m->len, &f) != WEFT_OK || f.source != s->rank || conn == 0 ||
        (f.group != GROUP && !s->groups)) {
        abort();
    }
    weft_message_unref(m);
    return conn % 16 != 15; /* some links refuse */
}

static int outlet_dial(void *user, uint32_t conn, int rank)
{
    session *s = user;
    if (rank == s->rank || rank >= s->size) {
        abort();
    }
    s->conn[rank] = conn;
    s->sequence[rank] = 0;
    return ++s->dials % 4 != 3 ? WEFT_OK : weft_fail(WEFT_EIO, "dial %d fails", s->dials);
}

static void outlet_drop(void *user, uint32_t conn)
{
    session *s = user;
    for (int r = 0; r < s->size; r++) {
        if (s->conn[r] == conn) {
            s->conn[r] = 0;
        }
    }
}

static void outlet_complete(void *user, weft_request *r)
{
    session *s = user;
    for (int i = 0; i < CALLS; i++) {
        if (s->requests[i] == r) {
            if (s->ended[i] || r->problem.code > 0) {
                abort();
            }
            s->ended[i] = true;
        }
    }
}

static void outlet_roster(void *user, uint32_t conn, weft_message *m)
{
    outlet_drop(user, conn);
    weft_message_unref(m);
}

static weft_shared_plan *plan_of(const session *s, weft_coll coll, const char *name, size_t count)
{
    const weft_algo *algo = NULL;
    const weft_shape shape = {.coll = coll, .rank = s->rank, .size = s->size, .count = count};
    weft_shared_plan *p = calloc(1, sizeof(*p));
    if (p == NULL || weft_algo_find(coll, name, &algo) != 0 ||
        weft_algo_build(algo, &shape, &p->plan) != 0) {
        abort();
    }
    atomic_init(&p->refs, 1);
    return p;
}

/* The context of the calls: the child where it is open, else the opened group. */
static weft_context *context_of(const session *s, bool child)
{
    return child && s->entered ? s->child : NULL;
}

static bool may_call(const session *s, bool child)
{
    return s->called < CALLS && (!s->closed || context_of(s, child) != NULL);
}

static weft_request *new_request(void)
{
    weft_request *r = weft_request_new();
    if (r == NULL || weft_codec_make(&r->codec, "raw", WEFT_F32, WEFT_SUM, NULL) != 0 ||
        weft_codec_make(&r->reply, "raw", WEFT_F32, WEFT_SUM, NULL) != 0) {
        abort();
    }
    return r;
}

static void start(session *s, weft_request *r, const char *text, int64_t timeout_ns)
{
    snprintf(r->words, sizeof(r->words), "%s", text);
    r->descriptor = weft_hash64(r->words, strlen(r->words));
    r->timeout_ns = timeout_ns;
    s->requests[s->called++] = r;
    weft_engine_call(s->engine, s->now, r);
}

/* Send to a rank of the opened group, or receive of it. */
static void transfer(session *s, bool sends, int rank, uint32_t tag, bool child, int64_t timeout_ns)
{
    if (!may_call(s, child)) {
        return;
    }
    weft_request *r = new_request();
    const session pair = {.rank = sends ? 0 : 1, .size = 2};
    r->context = context_of(s, child);
    /* Positions in the child run the other way. */
    const int me = r->context != NULL ? s->size - 1 - s->rank : s->rank;
    const int other = r->context != NULL ? s->size - 1 - rank : rank;
    r->transfer = true;
    r->from = sends ? me : other;
    r->to = sends ? other : me;
    r->label = tag;
    r->coll = sends ? "send" : "recv";
    snprintf(r->algo, sizeof(r->algo), "direct");
    r->has_out = !sends;
    r->in = s->in;
    r->out = s->out[s->called];
    r->count = COUNT;
    r->lane_length = LANE;
    r->lane_count = COUNT / LANE;
    r->plan = plan_of(&pair, WEFT_COLL_TRANSFER, "direct", LANE);
    r->tail = weft_shared_plan_ref(r->plan);
    start(s, r, words[3], timeout_ns);
}

/* kind 0: allreduce of some lanes; 1: broadcast from rank 0 in one lane. */
static void call(session *s, int kind, bool child, int64_t timeout_ns)
{
    if (!may_call(s, child)) {
        return;
    }
    weft_request *r = new_request();
    r->context = context_of(s, child);
    r->coll = kind == 0 ? "allreduce" : "broadcast";
    snprintf(r->algo, sizeof(r->algo), "%s", kind == 0 ? "ring" : "tree");
    r->has_out = true;
    r->in = s->in;
    r->out = s->out[s->called];
    r->count = COUNT;
    r->lane_length = kind == 0 ? LANE : COUNT;
    r->lane_count = kind == 0 ? COUNT / LANE : 1;
    session place = {.rank = s->rank, .size = s->size};
    if (r->context != NULL) {
        place.rank = s->size - 1 - s->rank;
    }
    r->plan = plan_of(&place, kind == 0 ? WEFT_COLL_ALLREDUCE : WEFT_COLL_BROADCAST, r->algo,
                      (size_t)r->lane_length);
    r->tail = weft_shared_plan_ref(r->plan);
    start(s, r, words[kind], timeout_ns);
}

static void enter(session *s)
{
    const int turned[2][RANKS] = {{1, 0, 0}, {2, 1, 0}};
    if (s->enter != NULL) {
        return;
    }
    s->enter = weft_request_new();
    s->child = weft_context_new(s->size, s->size);
    if (s->enter == NULL || s->child == NULL) {
        abort();
    }
    weft_context_set(s->child, CHILD, turned[s->size - 2], s->size, s->size - 1 - s->rank);
    s->enter->what = WEFT_REQUEST_ENTER;
    s->enter->context = s->child;
    weft_engine_call(s->engine, s->now, s->enter);
    if (s->enter->problem.code != WEFT_OK) {
        abort();
    }
    s->entered = true;
}

static void leave(session *s)
{
    if (!s->entered) {
        return;
    }
    s->leave = weft_request_new();
    if (s->leave == NULL) {
        abort();
    }
    s->leave->what = WEFT_REQUEST_LEAVE;
    s->leave->context = s->child;
    weft_engine_call(s->engine, s->now, s->leave);
    s->entered = false;
}

static void close_opened(session *s)
{
    if (s->closed) {
        return;
    }
    s->close = weft_request_new();
    if (s->close == NULL) {
        abort();
    }
    s->close->what = WEFT_REQUEST_LEAVE;
    weft_engine_call(s->engine, s->now, s->close);
    s->closed = true;
}

/* The tag of a frame: of either group, or of transfers there. */
static uint64_t tag_of(const session *s, int rank, uint8_t which)
{
    uint8_t bytes[20] = {0};
    const bool child = which % 2 == 1, to_us = which / 2 % 2 == 1;
    if (which % 16 < 8) {
        return child ? CHILD : GROUP;
    }
    const int me = child ? s->size - 1 - s->rank : s->rank;
    const int other = child ? s->size - 1 - rank : rank;
    bytes[0] = 0x77;
    bytes[1] = child ? 0x77 : 0;
    bytes[8] = (uint8_t)(to_us ? other : me);
    bytes[12] = (uint8_t)(to_us ? me : other);
    bytes[16] = which / 4 % TAGS;
    return weft_hash64(bytes, sizeof(bytes));
}

/* Bodies that fit, and others. */
static size_t body_of(uint8_t *body, uint8_t kind, uint8_t how, const char **ret_words)
{
    const char *text = words[how % 4 == 3 && how > 200 ? 3 : how % 3];
    *ret_words = text;
    if (kind == WEFT_FRAME_START && how < 250) {
        memcpy(body, text, strlen(text));
        return strlen(text);
    }
    if (kind == WEFT_FRAME_ABORT && how < 200) {
        memset(body, how, 16);
        body[0] = (uint8_t) - (how % 20);
        memset(body + 1, 0xff, 3);
        memset(body + 4, 0, 4);
        body[4] = how % 4;
        return 8 + how % 9;
    }
    if (kind != WEFT_FRAME_DATA) {
        return 0;
    }
    memset(body, 0, BODY_MOST);
    return how < 200 ? (how % 3 == 0 ? LANE * 2 : how % 3 == 1 ? COUNT * 4 : how % 64) : how * 16;
}

static void feed(session *s, int rank, const uint8_t *a)
{
    uint8_t body[BODY_MOST];
    const char *text = NULL;
    const uint8_t kind = (uint8_t)(1 + a[0] % 10);
    const size_t len = body_of(body, kind, a[1], &text);
    weft_message *m = weft_message_new(s->pool, len);
    if (m == NULL) {
        abort();
    }
    if (s->conn[rank] == 0) {
        s->next_conn += 2;
        s->conn[rank] = s->next_conn;
        s->sequence[rank] = 0;
    }
    weft_frame f = {.kind = kind,
                    .flags = (uint8_t)(a[5] < 16 ? 0 : WEFT_FLAG_LAST),
                    .group = a[5] == 255 ? GROUP + 1 : GROUP,
                    .source = (uint16_t)(a[5] == 254 ? a[1] : rank),
                    .destination = (uint16_t)(a[5] == 253 ? a[1] : s->rank),
                    .sequence = a[5] == 252 ? a[1] : ++s->sequence[rank],
                    .operation = (uint32_t)(a[2] % 16) * (a[5] == 251 ? 0x10000001 : 1),
                    .descriptor = weft_hash64(text, strlen(text)),
                    .lane = a[3] % 16,
                    .message = a[4] % 8,
                    .fragment = a[4] / 64,
                    .grant = a[3] / 16,
                    .body_bytes = (uint32_t)len};
    if (s->groups && a[5] >= 16 && a[5] < 240) {
        f.group = tag_of(s, rank, a[5] % 16);
        f.flags |= kind == WEFT_FRAME_DATA && a[5] >= 128 ? WEFT_FLAG_CREDIT : 0;
    }
    if (kind == WEFT_FRAME_DATA && a[1] >= 250) {
        f.descriptor ^= a[1]; /* never introduced */
    }
    memcpy(m->data + WEFT_FRAME_HEADER, body, len);
    weft_frame_put(&f, m->data);
    if (a[5] == 250) {
        m->data[a[1] % WEFT_FRAME_HEADER] ^= 1;
    }
    if (a[5] == 249) {
        m->len = a[1] % (WEFT_FRAME_HEADER + 1);
    }
    weft_engine_frame(s->engine, s->now, s->conn[rank], m);
}

/* Of frames kept for a peer: what counts on the link, what counts in the context. */
static void count_early(const weft_early *early, size_t *on_link, size_t *bytes, size_t *frames)
{
    for (; early != NULL; early = early->next) {
        if (early->message != NULL && (early->frame.flags & WEFT_FLAG_CREDIT) != 0) {
            *on_link += weft_credit_cost(early->message->len);
        } else {
            *bytes += early->message != NULL ? early->message->len : 0;
            *frames += 1;
        }
    }
}

static void check(const session *s)
{
    const weft_engine *e = s->engine;
    size_t on_link = 0, kept = 0;
    for (const weft_context *c = e->contexts; c != NULL; c = c->after) {
        size_t bytes = 0, frames = 0;
        count_early(c->early, &on_link, &bytes, &frames);
        for (int i = 0; i < c->size; i++) {
            const weft_member *m = &c->members[i];
            bytes -= m->early_bytes;
            frames -= m->early_frames;
            if (m->early_bytes > WEFT_EARLY_BYTES + WEFT_EARLY_OPS * WEFT_SMALL_BYTES) {
                abort();
            }
        }
        if (bytes != 0 || frames != 0) {
            abort();
        }
    }
    for (size_t i = 0; i < e->tag_buckets; i++) {
        for (const weft_tag_cell *cell = e->tags[i]; cell != NULL; cell = cell->next) {
            size_t others = 0;
            count_early(cell->early, &on_link, &others, &others);
            if (others != 0) {
                abort();
            }
        }
    }
    for (int r = 0; r < s->size; r++) {
        kept += e->peers[r].kept;
        if (e->peers[r].kept > WEFT_CREDIT || e->peers[r].credit > WEFT_CREDIT) {
            abort();
        }
    }
    if (on_link != kept) {
        abort();
    }
}

static void act(session *s, const uint8_t *record)
{
    const int rank = record[1] % s->size;
    const uint8_t *a = record + 2;
    if (rank == s->rank) {
        return;
    }
    switch (record[0] % 16) {
    case 0:
        if (s->groups && a[0] % 4 >= 2) {
            transfer(s, a[0] % 2 == 0, rank, a[3] % TAGS, a[4] % 2 == 1,
                     a[1] % 2 == 0 ? WEFT_NEVER : a[2] * WEFT_MS);
        } else {
            call(s, a[0] % 2, s->groups && a[4] % 2 == 1,
                 a[1] % 2 == 0 ? WEFT_NEVER : a[2] * WEFT_MS);
        }
        break;
    case 1:
        if (s->conn[rank] != 0 && a[0] < 64) {
            const uint32_t conn = s->conn[rank];
            s->conn[rank] = 0;
            weft_engine_down(s->engine, s->now, conn, "closed");
        } else if (s->conn[rank] != 0) {
            weft_engine_up(s->engine, s->now, s->conn[rank]);
        }
        break;
    case 2:
        s->now += a[0] * WEFT_MS;
        weft_engine_timer(s->engine, s->now);
        break;
    case 3:
        if (s->called > 0 && !s->ended[a[0] % s->called]) {
            weft_engine_cancel(s->engine, s->now, s->requests[a[0] % s->called]);
        }
        break;
    case 4:
        if (s->groups && a[0] < 160) {
            enter(s);
        } else if (s->groups && a[0] >= 240) {
            close_opened(s);
        } else if (s->groups) {
            leave(s);
        } else {
            feed(s, rank, a);
        }
        break;
    default:
        feed(s, rank, a);
        break;
    }
    for (int i = 0; i < record[0] / 16 && weft_engine_work(s->engine, s->now); i++) {
    }
    check(s);
}

/* Silence: time goes on until every call has ended. */
static void wait_for_the_end(session *s)
{
    for (int i = 0; i < 10000; i++) {
        while (weft_engine_work(s->engine, s->now)) {
        }
        if (weft_engine_active(s->engine) == 0) {
            break;
        }
        const int64_t due = weft_engine_due(s->engine);
        if (due == WEFT_NEVER) {
            break;
        }
        s->now = due > s->now ? due : s->now;
        weft_engine_timer(s->engine, s->now);
    }
    check(s);
    for (int i = 0; i < s->called; i++) {
        if (!s->ended[i]) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const where[RANKS] = {"fuzz:0", "fuzz:1", "fuzz:2"};
    const bool sum[RANKS] = {false};
    if (size < 1 + RECORD) {
        return 0;
    }
    session *s = calloc(1, sizeof(*s));
    if (s == NULL || weft_pool_open(&s->pool, 1 << 16) != 0) {
        abort();
    }
    s->groups = data[0] >= 128;
    s->size = 2 + data[0] % 2;
    s->rank = data[0] / 2 % s->size;
    s->next_conn = UINT32_MAX;
    const weft_engine_opts o = {.rank = s->rank,
                                .size = s->size,
                                .group = GROUP,
                                .dead_ns = 1000 * WEFT_MS,
                                .sum = sum,
                                .where = where,
                                .pool = s->pool,
                                .outlet = {.user = s,
                                           .send = outlet_send,
                                           .dial = outlet_dial,
                                           .drop = outlet_drop,
                                           .complete = outlet_complete,
                                           .roster = outlet_roster}};
    if (weft_engine_open(&s->engine, &o) != 0) {
        abort();
    }
    for (size_t i = 0; i < RECORDS_MOST && 1 + (i + 1) * RECORD <= size; i++) {
        act(s, data + 1 + i * RECORD);
    }
    wait_for_the_end(s);
    weft_engine_stop(s->engine, s->now);
    for (int i = 0; i < s->called; i++) {
        weft_request_discard(s->requests[i]);
    }
    weft_engine_close(&s->engine);
    weft_request_discard(s->enter);
    weft_request_discard(s->leave);
    weft_request_discard(s->close);
    weft_pool_close(&s->pool);
    free(s);
    return 0;
}
