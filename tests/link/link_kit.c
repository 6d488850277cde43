/* SPDX-License-Identifier: Apache-2.0 */
#include "link/link_kit.h"

#include <criterion/criterion.h>
#include <string.h>

#include <weft/group.h>

#include "base/clock.h"
#include "wire/frame.h"

static const char *const schemes[KIT_KINDS] = {"mem", "tcp", "ipc"};

kit kit_open(int kind, int count)
{
    kit k = {.kind = kind, .count = count};
    if (kind == KIT_MEM)
        cr_assert_eq(weft_hub_open(&k.hub, count), WEFT_OK, "%s", weft_last_error()->message);
    const weft_link_type *type = weft_link_type_for(schemes[kind]);
    cr_assert_not_null(type);
    for (int i = 0; i < count; i++) {
        const weft_link_opts o = {
            .listen = {kind == KIT_TCP   ? "tcp://127.0.0.1:*"
                       : kind == KIT_IPC ? "ipc://*"
                                         : NULL},
            .hub = k.hub,
            .hub_seat = i,
            .frame_max = KIT_FRAME_MAX,
            .connect_timeout_ms = KIT_CONNECT_MS,
            .linger_ms = 2000,
            .dead_ms = 5000,
        };
        cr_assert_eq(type->open(&k.links[i], &o), WEFT_OK, "%s", weft_last_error()->message);
    }
    return k;
}

void kit_close(kit *k)
{
    for (int i = 0; i < k->count; i++) {
        if (k->links[i] != NULL)
            k->links[i]->type->close(&k->links[i]);
        cr_assert_null(k->links[i]);
    }
    weft_hub_close(&k->hub);
}

const char *kit_endpoint(const kit *k, int i)
{
    const char *endpoint = k->links[i]->type->endpoint(k->links[i], 0);
    cr_assert_not_null(endpoint);
    return endpoint;
}

weft_link_event kit_next(kit *k, int i)
{
    weft_link_event e;
    const int64_t deadline = weft_deadline(weft_now(), KIT_PATIENCE_MS);
    cr_assert_eq(k->links[i]->type->poll(k->links[i], deadline, &e), WEFT_OK, "%s",
                 weft_last_error()->message);
    cr_assert_neq(e.what, WEFT_LINK_NOTHING, "link %d: nothing came", i);
    return e;
}

weft_link_event kit_expect(kit *k, int i, weft_link_what what, uint32_t conn)
{
    const weft_link_event e = kit_next(k, i);
    cr_assert_eq(e.what, what, "link %d: event %d of connection %u (%s), not %d", i, (int)e.what,
                 (unsigned)e.conn, e.why != NULL ? e.why : "", (int)what);
    cr_assert_eq(e.conn, conn, "link %d: event %d of connection %u, not %u", i, (int)what,
                 (unsigned)e.conn, (unsigned)conn);
    cr_assert_eq(what == WEFT_LINK_DOWN, e.why != NULL);
    return e;
}

void kit_expect_silence(kit *k, int i)
{
    weft_link_event e;
    cr_assert_eq(k->links[i]->type->poll(k->links[i], 0, &e), WEFT_OK);
    cr_assert_eq(e.what, WEFT_LINK_NOTHING, "link %d: event %d of connection %u", i, (int)e.what,
                 (unsigned)e.conn);
}

void kit_dial(kit *k, int from, uint32_t conn, int to)
{
    cr_assert_eq(k->links[from]->type->dial(k->links[from], conn, kit_endpoint(k, to)), WEFT_OK,
                 "%s", weft_last_error()->message);
    kit_expect(k, from, WEFT_LINK_UP, conn);
}

/* Byte i of a body. */
static uint8_t byte_at(uint32_t sequence, size_t i)
{
    return (uint8_t)(sequence * 31 + i * 7 + (i >> 8));
}

weft_message *kit_message(kit *k, int i, uint32_t sequence, size_t body)
{
    weft_message *m = weft_message_new(k->links[i]->type->pool(k->links[i]), body);
    cr_assert_not_null(m);
    const weft_frame f = {
        .kind = WEFT_FRAME_DATA, .sequence = sequence, .body_bytes = (uint32_t)body};
    weft_frame_put(&f, m->data);
    for (size_t at = 0; at < body; at++)
        m->data[WEFT_FRAME_HEADER + at] = byte_at(sequence, at);
    return m;
}

void kit_send(kit *k, int i, uint32_t conn, uint32_t sequence, size_t body)
{
    weft_message *m = kit_message(k, i, sequence, body);
    cr_assert_eq(k->links[i]->type->send(k->links[i], conn, m), WEFT_OK,
                 "link %d: connection %u is not up", i, (unsigned)conn);
}

void kit_check(const weft_message *m, uint32_t sequence, size_t body)
{
    weft_frame f;
    cr_assert_eq(weft_frame_get(m->data, m->len, &f), WEFT_OK, "%s", weft_last_error()->message);
    cr_assert_eq(f.sequence, sequence, "frame %u, not %u", (unsigned)f.sequence,
                 (unsigned)sequence);
    cr_assert_eq(f.body_bytes, body);
    cr_assert_eq((uintptr_t)m->data % 8, 0);
    for (size_t at = 0; at < body; at++) {
        if (m->data[WEFT_FRAME_HEADER + at] != byte_at(sequence, at))
            cr_assert(false, "frame %u: byte %zu of %zu differs", (unsigned)sequence, at, body);
    }
}

uint32_t kit_receive(kit *k, int i, uint32_t sequence, size_t body)
{
    const weft_link_event e = kit_next(k, i);
    cr_assert_eq(e.what, WEFT_LINK_FRAME, "link %d: event %d (%s), not frame %u", i, (int)e.what,
                 e.why != NULL ? e.why : "", (unsigned)sequence);
    kit_check(e.message, sequence, body);
    weft_message_unref(e.message);
    return e.conn;
}
