/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Body of a ROSTER frame, little endian:
 *
 *     0 u8 what · 1 u8 0 · 2 u16 peers · 4 u16 entries · 6 u16 0 · 8 16 bytes uuid of the sender
 *
 * OTHER_JOB: no entries; text (job id). TOLD: entries, each
 *
 *     16 uuid · 16 host · i32 rank · u32 stamp · u8 state · i16 code · u64 arrival · u64 ready ·
 *     i32 pid · u64 start · u64 pid namespace · text endpoint · text endpoint · text why
 *
 * text: u8 length, then printable characters. A frame is at most SPLIT bytes and one entry long;
 * more entries go in more frames.
 */
#include "roster/peer_frame.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "wire/frame.h"

enum {
    HEAD = 24,
    ENTRY_FIXED = 16 + 16 + 4 + 4 + 1 + 2 + 8 + 8 + 4 + 8 + 8,
    ENTRY_MAX = ENTRY_FIXED + WEFT_ROSTER_ENDPOINTS * WEFT_ENDPOINT_TEXT + WEFT_WHY_TEXT,
    SPLIT = 60 * 1024,
};
_Static_assert(HEAD + SPLIT + ENTRY_MAX <= WEFT_FRAME_BODY_MAX, "a frame holds what is put in it");
_Static_assert(WEFT_ENDPOINT_TEXT <= 256 && WEFT_WHY_TEXT <= 256 && WEFT_JOB_TEXT <= 256,
               "a text's length is one byte");

static uint8_t *put(uint8_t *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *out++ = (uint8_t)(value >> (8 * i));
    return out;
}

static uint8_t *put_bytes(uint8_t *out, const void *bytes, size_t len)
{
    memcpy(out, bytes, len);
    return out + len;
}

static uint8_t *put_text(uint8_t *out, const char *text)
{
    size_t len = strlen(text);
    *out++ = (uint8_t)len;
    return put_bytes(out, text, len);
}

static uint64_t get(const uint8_t **at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)(*at)[i] << (8 * i);
    *at += bytes;
    return value;
}

static uint8_t *put_entry(uint8_t *out, const weft_known *k)
{
    const weft_entry *e = &k->entry;
    out = put_bytes(out, e->uuid, 16);
    out = put_bytes(out, e->host, 16);
    out = put(out, (uint32_t)e->rank, 4);
    out = put(out, k->stamp, 4);
    out = put(out, (uint8_t)k->state, 1);
    out = put(out, (uint16_t)k->code, 2);
    out = put(out, e->arrival, 8);
    out = put(out, e->ready, 8);
    out = put(out, (uint32_t)k->process.pid, 4);
    out = put(out, k->process.born, 8);
    out = put(out, k->process.space, 8);
    for (int i = 0; i < WEFT_ROSTER_ENDPOINTS; i++)
        out = put_text(out, e->endpoint[i]);
    return put_text(out, k->why);
}

static uint8_t *put_head(uint8_t *out, const weft_voice *v, int what)
{
    out = put(out, (uint8_t)what, 1);
    out = put(out, 0, 1);
    out = put(out, (uint16_t)v->peers, 2);
    out = put(out, 0, 4);
    return put_bytes(out, v->uuid, 16);
}

/* Close the frame and hand it over. */
static int send_frame(const weft_voice *v, uint32_t conn, weft_message *m, const uint8_t *end)
{
    uint8_t *body = m->data + WEFT_FRAME_HEADER;
    m->len = (size_t)(end - m->data);
    weft_frame f = {.kind = WEFT_FRAME_ROSTER,
                    .flags = WEFT_FLAG_LAST | WEFT_FLAG_SUM,
                    .group = v->tag,
                    .body_bytes = (uint32_t)(m->len - WEFT_FRAME_HEADER)};
    f.body_sum = weft_crc32c(0, body, f.body_bytes);
    weft_frame_put(&f, m->data);
    int status = v->link->type->send(v->link, conn, m);
    if (status != WEFT_OK)
        weft_message_unref(m);
    return status;
}

static weft_message *new_message(const weft_voice *v, size_t body)
{
    return weft_message_new(v->link->type->pool(v->link), body);
}

int weft_voice_tell(const weft_voice *v, uint32_t conn, const weft_known *known, size_t count,
                    uint64_t after)
{
    for (size_t i = 0; i < count;) {
        weft_message *m = new_message(v, HEAD + SPLIT + ENTRY_MAX);
        if (!m)
            return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
        uint8_t *body = m->data + WEFT_FRAME_HEADER, *out = put_head(body, v, WEFT_ROSTER_TOLD);
        uint16_t entries = 0;
        for (; i < count && out - body < HEAD + SPLIT; i++) {
            const weft_known *k = &known[i];
            if (k->changed <= after || k->from == conn || k->state >= WEFT_KNOWN_STATES)
                continue;
            out = put_entry(out, k);
            entries++;
        }
        if (entries == 0) {
            weft_message_unref(m);
            return WEFT_OK;
        }
        put(body + 4, entries, 2);
        int status = send_frame(v, conn, m, out);
        if (status != WEFT_OK)
            return status;
    }
    return WEFT_OK;
}

int weft_voice_other_job(const weft_voice *v, uint32_t conn)
{
    weft_message *m = new_message(v, HEAD + WEFT_JOB_TEXT);
    if (!m)
        return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    uint8_t *out = put_head(m->data + WEFT_FRAME_HEADER, v, WEFT_ROSTER_OTHER_JOB);
    return send_frame(v, conn, m, put_text(out, v->job));
}

/* A text of less than cap characters, none of them below `least`. */
static bool take_text(const uint8_t **at, const uint8_t *end, char *out, size_t cap, char least)
{
    if (*at == end)
        return false;
    size_t len = *(*at)++;
    if (len >= cap || len > (size_t)(end - *at))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((*at)[i] < (uint8_t)least || (*at)[i] == 0x7f)
            return false;
    memcpy(out, *at, len);
    out[len] = '\0';
    *at += len;
    return true;
}

/* NULL, or what is wrong with it. */
static const char *take_entry(weft_telling *t, weft_known *k)
{
    static const uint8_t nobody[16];
    *k = (weft_known){.stamp = 0};
    weft_entry *e = &k->entry;
    if (t->end - t->at < ENTRY_FIXED)
        return "it is cut short";
    memcpy(e->uuid, t->at, 16);
    memcpy(e->host, t->at + 16, 16);
    t->at += 32;
    e->rank = (int32_t)(uint32_t)get(&t->at, 4);
    k->stamp = (uint32_t)get(&t->at, 4);
    k->state = (int)get(&t->at, 1);
    k->code = (int16_t)(uint16_t)get(&t->at, 2);
    e->arrival = get(&t->at, 8);
    e->ready = get(&t->at, 8);
    k->process.pid = (int32_t)(uint32_t)get(&t->at, 4);
    k->process.born = get(&t->at, 8);
    k->process.space = get(&t->at, 8);
    if (memcmp(e->uuid, nobody, 16) == 0)
        return "a peer without an id";
    if (e->rank < -1 || e->rank >= t->peers)
        return "a rank out of range";
    if (k->stamp == 0 || k->state < WEFT_KNOWN_HERE || k->state >= WEFT_KNOWN_STATES || k->code > 0)
        return "an unknown state";
    for (int i = 0; i < WEFT_ROSTER_ENDPOINTS; i++)
        if (!take_text(&t->at, t->end, e->endpoint[i], sizeof(e->endpoint[i]), '!'))
            return "a malformed endpoint";
    if (!take_text(&t->at, t->end, k->why, sizeof(k->why), ' '))
        return "a malformed reason";
    return NULL;
}

int weft_telling_open(const uint8_t *body, size_t len, weft_telling *ret)
{
    weft_telling t = {.at = body, .end = body + len};
    if (len < HEAD)
        return weft_fail(WEFT_EPROTO, "ROSTER frame: body of %zu bytes is too short", len);
    t.what = (int)get(&t.at, 1);
    bool zero = get(&t.at, 1) == 0;
    t.peers = (int)get(&t.at, 2);
    t.count = (size_t)get(&t.at, 2);
    zero = get(&t.at, 2) == 0 && zero;
    memcpy(t.sender, t.at, 16);
    t.at += 16;
    if (!zero || t.peers == 0 || (t.what != WEFT_ROSTER_TOLD && t.what != WEFT_ROSTER_OTHER_JOB))
        return weft_fail(WEFT_EPROTO, "ROSTER frame: malformed head");
    if (t.what == WEFT_ROSTER_OTHER_JOB) {
        if (t.count != 0 || !take_text(&t.at, t.end, t.job, sizeof(t.job), '!') || t.at != t.end)
            return weft_fail(WEFT_EPROTO, "ROSTER frame: malformed job id");
        *ret = t;
        return WEFT_OK;
    }
    weft_telling entries = t;
    for (size_t i = 0; i < t.count; i++) {
        weft_known k;
        const char *why = take_entry(&entries, &k);
        if (why)
            return weft_fail(WEFT_EPROTO, "ROSTER frame: entry %zu of %zu: %s", i + 1, t.count,
                             why);
    }
    if (entries.at != t.end)
        return weft_fail(WEFT_EPROTO, "ROSTER frame: %zu bytes behind the last entry",
                         (size_t)(t.end - entries.at));
    *ret = t;
    return WEFT_OK;
}

bool weft_telling_next(weft_telling *t, weft_known *ret)
{
    return t->at != t->end && take_entry(t, ret) == NULL;
}
