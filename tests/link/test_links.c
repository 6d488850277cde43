/* SPDX-License-Identifier: Apache-2.0 */
/* What every link promises (src/link/link.h), for each row of the table. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <weft/group.h>
#include <weft/status.h>

#include "base/clock.h"
#include "base/mem.h"
#include "link/link_kit.h"
#include "wire/frame.h"

typedef struct which {
    int kind;
} which;

#define EACH_LINK(claim)                                                                           \
    ParameterizedTestParameters(links, claim)                                                      \
    {                                                                                              \
        static which rows[] = {{KIT_MEM}, {KIT_TCP}, {KIT_IPC}};                                   \
        return cr_make_param_array(which, rows, sizeof(rows) / sizeof(rows[0]));                   \
    }                                                                                              \
    ParameterizedTest(which *w, links, claim)

EACH_LINK(connection_comes_up_and_its_first_frame_gives_the_other_end_an_odd_number)
{
    kit k = kit_open(w->kind, 2);
    kit_dial(&k, 0, 6, 1);
    kit_expect_silence(&k, 1);
    kit_send(&k, 0, 6, 1, 10);
    const uint32_t conn = kit_receive(&k, 1, 1, 10);
    cr_expect_eq(conn % 2, 1);
    kit_send(&k, 1, conn, 2, 20);
    cr_expect_eq(kit_receive(&k, 0, 2, 20), 6);
    kit_close(&k);
}

EACH_LINK(two_connections_between_the_same_links_are_told_apart)
{
    kit k = kit_open(w->kind, 3);
    kit_dial(&k, 0, 2, 2);
    kit_dial(&k, 0, 4, 2);
    kit_dial(&k, 1, 2, 2);
    kit_send(&k, 0, 2, 1, 0);
    const uint32_t a = kit_receive(&k, 2, 1, 0);
    kit_send(&k, 0, 4, 2, 0);
    const uint32_t b = kit_receive(&k, 2, 2, 0);
    kit_send(&k, 1, 2, 3, 0);
    const uint32_t c = kit_receive(&k, 2, 3, 0);
    cr_expect(a != b && b != c && a != c);
    kit_send(&k, 2, b, 4, 0);
    cr_expect_eq(kit_receive(&k, 0, 4, 0), 4);
    kit_send(&k, 2, c, 5, 0);
    cr_expect_eq(kit_receive(&k, 1, 5, 0), 2);
    kit_send(&k, 2, a, 6, 0);
    cr_expect_eq(kit_receive(&k, 0, 6, 0), 2);
    kit_close(&k);
}

EACH_LINK(bodies_of_every_length_arrive_unchanged)
{
    static const size_t lengths[] = {0,
                                     1,
                                     2,
                                     3,
                                     63,
                                     64,
                                     959,
                                     960,
                                     961,
                                     4096,
                                     8127,
                                     8128,
                                     8129,
                                     16384,
                                     65535,
                                     65536,
                                     131072,
                                     200001,
                                     KIT_BODY_MAX - 1,
                                     KIT_BODY_MAX};
    enum { COUNT = sizeof(lengths) / sizeof(lengths[0]) };
    kit k = kit_open(w->kind, 2);
    kit_dial(&k, 0, 2, 1);
    uint32_t conn = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        kit_send(&k, 0, 2, i, lengths[i]);
    for (uint32_t i = 0; i < COUNT; i++)
        conn = kit_receive(&k, 1, i, lengths[i]);
    for (uint32_t i = 0; i < COUNT; i++)
        kit_send(&k, 1, conn, i, lengths[i]);
    for (uint32_t i = 0; i < COUNT; i++)
        kit_receive(&k, 0, i, lengths[i]);
    kit_close(&k);
}

EACH_LINK(two_thousand_frames_cross_both_ways_in_order)
{
    enum { FRAMES = 2000 };
    kit k = kit_open(w->kind, 2);
    kit_dial(&k, 0, 2, 1);
    kit_send(&k, 0, 2, 0, 0);
    const uint32_t conn = kit_receive(&k, 1, 0, 0);
    for (uint32_t i = 0; i < FRAMES; i++) {
        kit_send(&k, 0, 2, i, i * 13 % 20000);
        kit_send(&k, 1, conn, i, i * 17 % 20000);
    }
    for (uint32_t i = 0; i < FRAMES; i++) {
        cr_assert_eq(kit_receive(&k, 0, i, i * 17 % 20000), 2);
        cr_assert_eq(kit_receive(&k, 1, i, i * 13 % 20000), conn);
    }
    kit_close(&k);
}

/* Link 1 sends what came from 0 on to 2. */
EACH_LINK(received_message_is_sent_on_with_a_new_header)
{
    static const size_t lengths[] = {5, 3000, 20000, KIT_BODY_MAX};
    kit k = kit_open(w->kind, 3);
    kit_dial(&k, 0, 2, 1);
    kit_dial(&k, 1, 2, 2);
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        kit_send(&k, 0, 2, 7, lengths[i]);
        weft_message *m = kit_next(&k, 1).message;
        cr_assert_not_null(m);
        cr_assert(weft_message_exclusive(m), "%zu bytes", lengths[i]);
        weft_frame f;
        cr_assert_eq(weft_frame_get(m->data, m->len, &f), WEFT_OK);
        f.lane = 99 + i;
        weft_frame_put(&f, m->data);
        cr_assert_eq(k.links[1]->type->send(k.links[1], 2, m), WEFT_OK);

        weft_link_event e = kit_next(&k, 2);
        cr_assert_eq(e.what, WEFT_LINK_FRAME);
        cr_assert_eq(weft_frame_get(e.message->data, e.message->len, &f), WEFT_OK);
        cr_expect_eq(f.lane, 99 + i);
        kit_check(e.message, 7, lengths[i]);
        weft_message_unref(e.message);
    }
    kit_close(&k);
}

EACH_LINK(message_kept_by_its_sender_stays_as_it_was)
{
    kit k = kit_open(w->kind, 2);
    kit_dial(&k, 0, 2, 1);
    weft_message *kept = weft_message_ref(kit_message(&k, 0, 3, 40000));
    cr_assert_eq(k.links[0]->type->send(k.links[0], 2, kept), WEFT_OK);
    weft_message *got = kit_next(&k, 1).message;
    cr_assert_not_null(got);
    got = weft_message_writable(k.links[1]->type->pool(k.links[1]), got);
    cr_assert(weft_message_exclusive(got));
    memset(got->data + WEFT_FRAME_HEADER, 0, 40000);
    weft_message_unref(got);
    kit_check(kept, 3, 40000);
    weft_message_unref(kept);
    kit_close(&k);
}

EACH_LINK(dial_to_nobody_gives_down_and_no_up)
{
    kit k = kit_open(w->kind, 2);
    char endpoint[256];
    snprintf(endpoint, sizeof(endpoint), "%s", kit_endpoint(&k, 1));
    k.links[1]->type->close(&k.links[1]);
    /* A port may answer for a moment after close() returned; from then on never. */
    const int64_t deadline = weft_now() + KIT_PATIENCE_MS * WEFT_MS;
    cr_assert_eq(k.links[0]->type->dial(k.links[0], 2, endpoint), WEFT_OK);
    while (kit_next(&k, 0).what == WEFT_LINK_UP && weft_now() < deadline) {
        kit_expect(&k, 0, WEFT_LINK_DOWN, 2);
        cr_assert_eq(k.links[0]->type->dial(k.links[0], 2, endpoint), WEFT_OK);
    }
    /* The number is free again. */
    cr_assert_eq(k.links[0]->type->dial(k.links[0], 2, endpoint), WEFT_OK);
    kit_expect(&k, 0, WEFT_LINK_DOWN, 2);
    kit_expect_silence(&k, 0);
    kit_close(&k);
}

EACH_LINK(malformed_dials_are_refused_at_once)
{
    kit k = kit_open(w->kind, 2);
    const weft_link_type *type = k.links[0]->type;
    cr_expect_eq(type->dial(k.links[0], 0, kit_endpoint(&k, 1)), WEFT_EINVAL);
    cr_expect_eq(type->dial(k.links[0], 3, kit_endpoint(&k, 1)), WEFT_EINVAL);
    cr_expect_eq(type->dial(k.links[0], 2, "carrier-pigeon://x"), WEFT_EINVAL);
    cr_expect_eq(type->dial(k.links[0], 2, w->kind == KIT_MEM ? "mem:2" : "tcp://127.0.0.1"),
                 WEFT_EINVAL);
    cr_expect_eq(type->dial(k.links[0], 2, ""), WEFT_EINVAL);
    kit_expect_silence(&k, 0);
    kit_dial(&k, 0, 2, 1);
    cr_expect_eq(type->dial(k.links[0], 2, kit_endpoint(&k, 1)), WEFT_EINVAL);
    kit_close(&k);
}

EACH_LINK(close_delivers_what_was_sent_and_then_is_down)
{
    enum { FRAMES = 40 };
    kit k = kit_open(w->kind, 3);
    kit_dial(&k, 0, 2, 1);
    kit_dial(&k, 2, 2, 1);
    kit_send(&k, 2, 2, 1, 0);
    const uint32_t other = kit_receive(&k, 1, 1, 0);
    for (uint32_t i = 0; i < FRAMES; i++)
        kit_send(&k, 0, 2, i, i % 2 == 0 ? 100 : KIT_BODY_MAX);
    k.links[0]->type->close(&k.links[0]);
    uint32_t conn = 0;
    for (uint32_t i = 0; i < FRAMES; i++)
        conn = kit_receive(&k, 1, i, i % 2 == 0 ? 100 : KIT_BODY_MAX);
    cr_assert_neq(conn, other);
    kit_expect(&k, 1, WEFT_LINK_DOWN, conn);
    /* It is the caller's still. */
    weft_message *m = kit_message(&k, 1, 1, 1);
    cr_expect_eq(k.links[1]->type->send(k.links[1], conn, m), WEFT_EPEER);
    weft_message_unref(m);
    kit_send(&k, 1, other, 2, 2);
    kit_receive(&k, 2, 2, 2);
    kit_expect_silence(&k, 1);
    kit_close(&k);
}

EACH_LINK(dialler_hears_that_the_listener_closed_after_its_frames)
{
    kit k = kit_open(w->kind, 2);
    kit_dial(&k, 0, 2, 1);
    kit_send(&k, 0, 2, 1, 1);
    const uint32_t conn = kit_receive(&k, 1, 1, 1);
    for (uint32_t i = 0; i < 20; i++)
        kit_send(&k, 1, conn, i, 10000);
    k.links[1]->type->close(&k.links[1]);
    for (uint32_t i = 0; i < 20; i++)
        kit_receive(&k, 0, i, 10000);
    kit_expect(&k, 0, WEFT_LINK_DOWN, 2);
    kit_expect_silence(&k, 0);
    kit_close(&k);
}

EACH_LINK(dropped_connection_is_down_for_the_other_end_only)
{
    kit k = kit_open(w->kind, 2);
    kit_dial(&k, 0, 2, 1);
    kit_send(&k, 0, 2, 1, 1);
    const uint32_t conn = kit_receive(&k, 1, 1, 1);
    kit_send(&k, 0, 2, 2, 2);
    k.links[0]->type->drop(k.links[0], 2);
    kit_receive(&k, 1, 2, 2);
    kit_expect(&k, 1, WEFT_LINK_DOWN, conn);
    kit_expect_silence(&k, 0);
    k.links[0]->type->drop(k.links[0], 2); /* again: nothing */
    k.links[1]->type->drop(k.links[1], conn);
    kit_close(&k);
}

EACH_LINK(accepted_connection_that_was_dropped_brings_no_more_frames)
{
    kit k = kit_open(w->kind, 3);
    kit_dial(&k, 0, 2, 1);
    kit_dial(&k, 2, 2, 1);
    kit_send(&k, 0, 2, 1, 1);
    const uint32_t conn = kit_receive(&k, 1, 1, 1);
    k.links[1]->type->drop(k.links[1], conn);
    for (uint32_t i = 0; i < 5; i++) {
        weft_message *m = kit_message(&k, 0, i, 10);
        if (k.links[0]->type->send(k.links[0], 2, m) != WEFT_OK)
            weft_message_unref(m);
    }
    kit_send(&k, 2, 2, 9, 9);
    cr_expect_neq(kit_receive(&k, 1, 9, 9), conn);
    weft_message *m = kit_message(&k, 1, 1, 1);
    cr_expect_eq(k.links[1]->type->send(k.links[1], conn, m), WEFT_EPEER);
    weft_message_unref(m);
    kit_close(&k);
}

static void *kick_it(void *link)
{
    weft_link *l = link;
    l->type->kick(l);
    return NULL;
}

EACH_LINK(kick_from_another_thread_ends_the_wait)
{
    kit k = kit_open(w->kind, 2);
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, kick_it, k.links[0]), 0);
        kit_expect(&k, 0, WEFT_LINK_KICKED, 0);
        pthread_join(thread, NULL);
    }
    kit_expect_silence(&k, 0);
    /* Kicked before the wait: the wait ends all the same. */
    k.links[0]->type->kick(k.links[0]);
    kit_expect(&k, 0, WEFT_LINK_KICKED, 0);
    kit_close(&k);
}

EACH_LINK(kick_is_heard_while_frames_flood_in)
{
    enum { FRAMES = 500 };
    kit k = kit_open(w->kind, 2);
    kit_dial(&k, 0, 2, 1);
    for (uint32_t i = 0; i < FRAMES; i++)
        kit_send(&k, 0, 2, i, 10);
    kit_receive(&k, 1, 0, 10);
    k.links[1]->type->kick(k.links[1]);
    int frames = 0;
    for (bool kicked = false; !kicked; frames++) {
        const weft_link_event e = kit_next(&k, 1);
        kicked = e.what == WEFT_LINK_KICKED;
        weft_message_unref(e.message);
    }
    cr_expect_lt(frames, 100);
    kit_close(&k);
}

EACH_LINK(wait_ends_at_the_deadline_and_not_before)
{
    kit k = kit_open(w->kind, 2);
    weft_link_event e;
    kit_dial(&k, 0, 2, 1);
    for (int i = 0; i < 3; i++) {
        const int64_t until = weft_now() + 20 * WEFT_MS;
        cr_assert_eq(k.links[0]->type->poll(k.links[0], until, &e), WEFT_OK);
        cr_expect_eq(e.what, WEFT_LINK_NOTHING);
        cr_expect_geq(weft_now(), until);
    }
    cr_assert_eq(k.links[0]->type->poll(k.links[0], weft_now() - 1, &e), WEFT_OK);
    cr_expect_eq(e.what, WEFT_LINK_NOTHING);
    kit_close(&k);
}

EACH_LINK(frame_beyond_the_limit_ends_the_connection)
{
    kit k = kit_open(w->kind, 2);
    kit_dial(&k, 0, 2, 1);
    kit_send(&k, 0, 2, 1, 1);
    const uint32_t conn = kit_receive(&k, 1, 1, 1);
    kit_send(&k, 0, 2, 2, KIT_BODY_MAX + 1);
    kit_expect(&k, 1, WEFT_LINK_DOWN, conn);
    kit_expect(&k, 0, WEFT_LINK_DOWN, 2);
    kit_close(&k);
}

EACH_LINK(many_connections_are_read_in_turn)
{
    enum { CONNS = 12, FRAMES = 30 };
    kit k = kit_open(w->kind, 2);
    for (uint32_t c = 0; c < CONNS; c++)
        kit_dial(&k, 0, 2 + 2 * c, 1);
    for (uint32_t i = 0; i < FRAMES; i++) {
        for (uint32_t c = 0; c < CONNS; c++)
            kit_send(&k, 0, 2 + 2 * c, i, c);
    }
    uint32_t next[CONNS] = {0}, number[CONNS] = {0};
    for (int n = 0; n < CONNS * FRAMES; n++) {
        const weft_link_event e = kit_next(&k, 1);
        cr_assert_eq(e.what, WEFT_LINK_FRAME);
        const size_t c = e.message->len - WEFT_FRAME_HEADER;
        cr_assert_lt(c, CONNS);
        cr_assert(next[c] == 0 || number[c] == e.conn);
        number[c] = e.conn;
        kit_check(e.message, next[c]++, c);
        weft_message_unref(e.message);
    }
    for (uint32_t c = 0; c < CONNS; c++)
        k.links[0]->type->drop(k.links[0], 2 + 2 * c);
    for (uint32_t down = 0; down < CONNS; down++) {
        const weft_link_event e = kit_next(&k, 1);
        cr_assert_eq(e.what, WEFT_LINK_DOWN);
        uint32_t c = 0;
        while (c < CONNS && number[c] != e.conn)
            c++;
        cr_assert_lt(c, CONNS, "connection %u was down before, or never there", (unsigned)e.conn);
        number[c] = 0;
    }
    kit_expect_silence(&k, 1);
    kit_close(&k);
}

/* As far as it comes when every allocation from the n-th on fails. */
static void try_all(int kind, long n)
{
    weft_hub *hub = NULL;
    weft_link *l[2] = {NULL, NULL};
    weft_link_event e;
    if (kind == KIT_MEM)
        cr_assert_eq(weft_hub_open(&hub, 2), WEFT_OK);
    const weft_link_type *type = weft_link_type_for(kind == KIT_MEM ? "mem" : "tcp");
    weft_mem_fail_at(n);
    for (int i = 0; i < 2; i++) {
        const weft_link_opts o = {.listen = {kind == KIT_TCP   ? "tcp://127.0.0.1:*"
                                             : kind == KIT_IPC ? "ipc://*"
                                                               : NULL},
                                  .hub = hub,
                                  .hub_seat = i,
                                  .frame_max = KIT_FRAME_MAX,
                                  .connect_timeout_ms = KIT_CONNECT_MS};
        const int rc = type->open(&l[i], &o);
        cr_assert(rc == WEFT_OK || rc == WEFT_ENOMEM, "%d", rc);
        if (rc != WEFT_OK)
            goto out;
    }
    const int rc = type->dial(l[0], 2, type->endpoint(l[1], 0));
    cr_assert(rc == WEFT_OK || rc == WEFT_ENOMEM, "%d", rc);
    if (rc != WEFT_OK || type->poll(l[0], weft_now() + KIT_CONNECT_MS * WEFT_MS, &e) != WEFT_OK)
        goto out;
    cr_assert(e.what == WEFT_LINK_UP || e.what == WEFT_LINK_DOWN);
    for (size_t body = 10; body < 100000; body *= 10) {
        weft_message *m = weft_message_new(type->pool(l[0]), body);
        if (m != NULL && type->send(l[0], 2, m) != WEFT_OK)
            weft_message_unref(m);
    }
    /* A frame that finds no memory may vanish with its connection. */
    do {
        if (type->poll(l[1], weft_now() + 20 * WEFT_MS, &e) != WEFT_OK)
            break;
        if (e.what == WEFT_LINK_FRAME)
            weft_message_unref(e.message);
    } while (e.what != WEFT_LINK_NOTHING);
out:
    weft_mem_fail_at(0);
    for (int i = 0; i < 2; i++) {
        if (l[i] != NULL)
            type->close(&l[i]);
    }
    weft_hub_close(&hub);
}

EACH_LINK(out_of_memory_at_any_point_is_an_error_and_leaks_nothing)
{
    try_all(w->kind, 0);
    for (long n = 1; n < 40; n++)
        try_all(w->kind, n);
}

Test(links, every_scheme_is_found_and_no_other)
{
    cr_expect_str_eq(weft_link_type_for("mem")->scheme, "mem");
    cr_expect_eq(weft_link_type_for("tcp"), weft_link_type_for("ipc"));
    cr_expect_null(weft_link_type_for("tc"));
    cr_expect_null(weft_link_type_for("tcp|ipc"));
    cr_expect_null(weft_link_type_for(""));
    int rows = 0;
    while (weft_link_type_at(rows) != NULL)
        rows++;
    cr_expect_eq(rows, 2);
    cr_expect_null(weft_link_type_at(-1));
}
