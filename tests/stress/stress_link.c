/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads at a hub: seats, frames in all directions, messages whose sender keeps a reference while
 * the receiver wants to write, kicks from outside, links that close while others send. For a race
 * detector; it also checks that every frame comes once, in order and unchanged.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/group.h>

#include "base/clock.h"
#include "link/hub.h"
#include "link/link.h"
#include "wire/frame.h"

enum { PEERS = 4, ROUNDS = 3, FRAMES = 400, BODY = 6000, PATIENCE_MS = 60000 };

static weft_hub *hub;
static weft_link *kicked[PEERS]; /* open links, for the kicker */
static pthread_mutex_t kicked_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stop;

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,                     \
                    weft_last_error()->message);                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static void set_kicked(int seat, weft_link *l)
{
    pthread_mutex_lock(&kicked_lock);
    kicked[seat] = l;
    pthread_mutex_unlock(&kicked_lock);
}

static void *kicker(void *arg)
{
    (void)arg;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        pthread_mutex_lock(&kicked_lock);
        weft_link *l = kicked[i % PEERS];
        if (l != NULL)
            l->type->kick(l);
        pthread_mutex_unlock(&kicked_lock);
    }
    return NULL;
}

static weft_message *make(weft_link *l, int from, uint32_t sequence)
{
    const size_t body = sequence * 37 % BODY;
    weft_message *m = weft_message_new(l->type->pool(l), body);
    NEED(m != NULL);
    const weft_frame f = {.kind = WEFT_FRAME_DATA,
                          .source = (uint16_t)from,
                          .sequence = sequence,
                          .body_bytes = (uint32_t)body};
    weft_frame_put(&f, m->data);
    memset(m->data + WEFT_FRAME_HEADER, (int)(sequence & 0xff), body);
    return m;
}

/* What came is right, and may be written to once it is ours alone. */
static int check(weft_link *l, weft_message *m, uint32_t next[PEERS])
{
    weft_frame f;
    NEED(weft_frame_get(m->data, m->len, &f) == WEFT_OK);
    NEED(f.source < PEERS && f.sequence == next[f.source]);
    next[f.source]++;
    for (size_t i = WEFT_FRAME_HEADER; i < m->len; i++)
        NEED(m->data[i] == (uint8_t)f.sequence);
    m = weft_message_writable(l->type->pool(l), m);
    NEED(m != NULL);
    memset(m->data, 0xff, m->len);
    weft_message_unref(m);
    return f.source;
}

static void send_some(weft_link *l, int seat, uint32_t sequence)
{
    for (int peer = 0; peer < PEERS; peer++) {
        if (peer == seat)
            continue;
        weft_message *m = make(l, seat, sequence), *kept = NULL;
        if (sequence % 3 == 0)
            kept = weft_message_ref(m);
        NEED(l->type->send(l, (uint32_t)(2 * peer + 2), m) == WEFT_OK);
        if (kept != NULL) {
            NEED(kept->len < WEFT_FRAME_HEADER + 1 ||
                 kept->data[kept->len - 1] == (uint8_t)sequence);
            weft_message_unref(kept);
        }
    }
}

/* Send to all, take from all; then close while some still send to nobody. */
static void take_part(weft_link *l, int seat, int64_t deadline_ns)
{
    uint32_t next[PEERS] = {0}, sent = 0;
    int up = 0, whole = 0;
    for (int peer = 0; peer < PEERS; peer++) {
        char endpoint[16];
        snprintf(endpoint, sizeof(endpoint), "mem:%d", peer);
        if (peer != seat)
            NEED(l->type->dial(l, (uint32_t)(2 * peer + 2), endpoint) == WEFT_OK);
    }
    while (whole < PEERS - 1 || sent < FRAMES) {
        weft_link_event e;
        const bool ready = up == PEERS - 1 && sent < FRAMES;
        NEED(l->type->poll(l, ready ? 0 : deadline_ns, &e) == WEFT_OK);
        up += e.what == WEFT_LINK_UP;
        if (e.what == WEFT_LINK_FRAME) {
            const int from = check(l, e.message, next);
            whole += next[from] == FRAMES;
        }
        NEED(e.what != WEFT_LINK_DOWN || whole > 0);
        NEED(e.what != WEFT_LINK_NOTHING || weft_now() < deadline_ns);
        if (ready)
            send_some(l, seat, sent++);
    }
}

static void *peer(void *arg)
{
    const int wish = *(const int *)arg;
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t deadline = weft_deadline(weft_now(), PATIENCE_MS);
        int seat = -1;
        NEED(weft_hub_seat(hub, round % 2 == 0 ? wish : -1, deadline, &seat) == WEFT_OK);
        NEED(round % 2 != 0 || seat == wish);
        const weft_link_opts o = {
            .hub = hub, .hub_seat = seat, .frame_max = WEFT_FRAME_HEADER + BODY};
        weft_link *l = NULL;
        NEED(weft_link_type_for("mem")->open(&l, &o) == WEFT_OK);
        set_kicked(seat, l);
        take_part(l, seat, deadline);
        set_kicked(seat, NULL);
        l->type->close(&l);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[PEERS], extra;
    int wish[PEERS];
    NEED(weft_hub_open(&hub, PEERS) == WEFT_OK);
    NEED(pthread_create(&extra, NULL, kicker, NULL) == 0);
    for (int i = 0; i < PEERS; i++) {
        wish[i] = i;
        NEED(pthread_create(&threads[i], NULL, peer, &wish[i]) == 0);
    }
    for (int i = 0; i < PEERS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&stop, true);
    pthread_join(extra, NULL);
    weft_hub_close(&hub);
    return 0;
}
