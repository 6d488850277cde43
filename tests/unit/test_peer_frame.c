/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "roster/peer_frame.h"
#include "wire/frame.h"

static weft_known peer(int number, int rank)
{
    weft_known k = {.stamp = 1, .state = WEFT_KNOWN_HERE};
    memset(k.entry.uuid, number, 16);
    memset(k.entry.host, 7, 16);
    k.entry.rank = rank;
    k.entry.arrival = 1;
    snprintf(k.entry.endpoint[0], WEFT_ENDPOINT_TEXT, "tcp://10.0.0.%d:%d", number, 1000 + number);
    snprintf(k.entry.endpoint[1], WEFT_ENDPOINT_TEXT, "ipc://@weft-%d", number);
    k.process = (weft_process){.pid = 1, .born = 2, .space = 3};
    return k;
}

/* A link that keeps what is sent. */
static weft_message *sent[64];
static int sent_count;
static weft_pool *fake_messages;

static int keep(weft_link *l, uint32_t conn, weft_message *m)
{
    (void)l;
    (void)conn;
    sent[sent_count++] = m;
    return WEFT_OK;
}

static weft_pool *fake_pool(weft_link *l)
{
    (void)l;
    return fake_messages;
}

static const weft_link_type fake_type = {.scheme = "fake", .send = keep, .pool = fake_pool};
static weft_link fake_link = {.type = &fake_type};

static void open_fake(void)
{
    cr_assert_eq(weft_pool_open(&fake_messages, 0), WEFT_OK);
}

static void close_fake(void)
{
    for (int i = 0; i < sent_count; i++)
        weft_message_unref(sent[i]);
    weft_pool_close(&fake_messages);
}

static weft_voice voice(int peers)
{
    return (weft_voice){.link = &fake_link, .tag = 99, .job = "job", .peers = peers, .uuid = {1}};
}

/* The body of a frame that was kept, checked. */
static const uint8_t *body_of(int index, size_t *len)
{
    weft_frame f;
    cr_assert_eq(weft_frame_get(sent[index]->data, sent[index]->len, &f), WEFT_OK, "%s",
                 weft_last_error()->message);
    cr_assert_eq(f.kind, WEFT_FRAME_ROSTER);
    cr_assert_eq(f.group, 99);
    *len = f.body_bytes;
    return sent[index]->data + WEFT_FRAME_HEADER;
}

Test(peer_frame, what_is_told_is_read, .init = open_fake, .fini = close_fake)
{
    weft_voice v = voice(5);
    weft_known all[3] = {peer(1, -1), peer(2, 4), peer(3, 0)}, back;
    for (int i = 0; i < 3; i++)
        all[i].changed = (uint64_t)i + 1;
    all[1].entry.ready = UINT64_MAX;
    all[1].state = WEFT_KNOWN_GAVE_UP;
    all[1].code = WEFT_ETIMEDOUT;
    strcpy(all[1].why, "two words");
    all[2].state = WEFT_KNOWN_DEAD;
    all[2].entry.endpoint[0][0] = '\0';
    cr_assert_eq(weft_voice_tell(&v, 2, all, 3, 0), WEFT_OK);
    cr_assert_eq(sent_count, 1);
    size_t len;
    weft_telling t;
    const uint8_t *body = body_of(0, &len);
    cr_assert_eq(weft_telling_open(body, len, &t), WEFT_OK, "%s", weft_last_error()->message);
    cr_assert_eq(t.what, WEFT_ROSTER_TOLD);
    cr_assert_eq(t.peers, 5);
    cr_assert_eq(t.count, 3);
    for (int i = 0; i < 3; i++) {
        cr_assert(weft_telling_next(&t, &back));
        cr_assert_arr_eq(back.entry.uuid, all[i].entry.uuid, 16);
        cr_assert_arr_eq(back.entry.host, all[i].entry.host, 16);
        cr_assert_eq(back.entry.rank, all[i].entry.rank);
        cr_assert_eq(back.entry.ready, all[i].entry.ready);
        cr_assert_eq(back.entry.arrival, all[i].entry.arrival);
        cr_assert_eq(back.state, all[i].state);
        cr_assert_eq(back.code, all[i].code);
        cr_assert_str_eq(back.why, all[i].why);
        cr_assert_str_eq(back.entry.endpoint[0], all[i].entry.endpoint[0]);
        cr_assert_str_eq(back.entry.endpoint[1], all[i].entry.endpoint[1]);
    }
    cr_assert_not(weft_telling_next(&t, &back));
}

Test(peer_frame, only_news_are_told_and_not_to_their_teller, .init = open_fake, .fini = close_fake)
{
    weft_voice v = voice(5);
    weft_known all[3] = {peer(1, 0), peer(2, 1), peer(3, 2)};
    all[0].changed = 1;
    all[1].changed = 5;
    all[2].changed = 6;
    all[2].from = 2;
    cr_assert_eq(weft_voice_tell(&v, 2, all, 3, 1), WEFT_OK);
    cr_assert_eq(weft_voice_tell(&v, 2, all, 3, 5), WEFT_OK);
    cr_assert_eq(sent_count, 1, "nothing new, no frame");
    size_t len;
    weft_telling t;
    weft_known back;
    const uint8_t *body = body_of(0, &len);
    cr_assert_eq(weft_telling_open(body, len, &t), WEFT_OK);
    cr_assert_eq(t.count, 1);
    cr_assert(weft_telling_next(&t, &back));
    cr_assert_eq(back.entry.uuid[0], 2);
}

Test(peer_frame, a_long_list_goes_in_several_frames, .init = open_fake, .fini = close_fake)
{
    enum { MANY = 2000 };
    weft_voice v = voice(MANY);
    weft_known *all = calloc(MANY, sizeof(*all)), back;
    for (int i = 0; i < MANY; i++) {
        all[i] = peer(1, i);
        all[i].changed = 1;
        memset(all[i].entry.endpoint[0], 'e', WEFT_ENDPOINT_TEXT - 1);
    }
    cr_assert_eq(weft_voice_tell(&v, 2, all, MANY, 0), WEFT_OK);
    cr_assert_gt(sent_count, 1);
    int rank = 0;
    for (int i = 0; i < sent_count; i++) {
        size_t len;
        weft_telling t;
        const uint8_t *body = body_of(i, &len);
        cr_assert_eq(weft_telling_open(body, len, &t), WEFT_OK);
        while (weft_telling_next(&t, &back))
            cr_assert_eq(back.entry.rank, rank++);
    }
    cr_assert_eq(rank, MANY);
    free(all);
}

Test(peer_frame, truncated_and_damaged_bodies_are_refused_or_in_range, .init = open_fake,
     .fini = close_fake)
{
    weft_voice v = voice(5);
    weft_known all[2] = {peer(1, 0), peer(2, 1)}, back;
    all[0].changed = all[1].changed = 1;
    cr_assert_eq(weft_voice_tell(&v, 2, all, 2, 0), WEFT_OK);
    cr_assert_eq(weft_voice_other_job(&v, 2), WEFT_OK);
    for (int frame = 0; frame < 2; frame++) {
        size_t len;
        weft_telling t;
        const uint8_t *body = body_of(frame, &len);
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *copy = malloc(cut ? cut : 1);
            memcpy(copy, body, cut);
            cr_assert_eq(weft_telling_open(copy, cut, &t), WEFT_EPROTO, "cut at %zu", cut);
            free(copy);
        }
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, body, len);
        copy[len] = 0;
        cr_assert_eq(weft_telling_open(copy, len + 1, &t), WEFT_EPROTO, "one byte more");
        for (size_t at = 0; at < len; at++)
            for (int bit = 0; bit < 8; bit++) {
                copy[at] ^= (uint8_t)(1 << bit);
                if (weft_telling_open(copy, len, &t) == WEFT_OK)
                    while (weft_telling_next(&t, &back))
                        cr_assert(back.entry.rank >= -1 && back.entry.rank < t.peers &&
                                  back.state < WEFT_KNOWN_STATES && back.stamp > 0);
                copy[at] ^= (uint8_t)(1 << bit);
            }
        free(copy);
    }
}

Test(peer_frame, another_job_is_named, .init = open_fake, .fini = close_fake)
{
    weft_voice v = voice(5);
    size_t len;
    weft_telling t;
    cr_assert_eq(weft_voice_other_job(&v, 2), WEFT_OK);
    const uint8_t *body = body_of(0, &len);
    cr_assert_eq(weft_telling_open(body, len, &t), WEFT_OK);
    cr_assert_eq(t.what, WEFT_ROSTER_OTHER_JOB);
    cr_assert_str_eq(t.job, "job");
}
