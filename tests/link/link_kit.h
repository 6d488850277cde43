/* SPDX-License-Identifier: Apache-2.0 */
/* Several links of one kind in this process, and what tests do with them. Everything waits with a
 * deadline and fails the test when it passes. */
#ifndef WEFT_TESTS_LINK_KIT_H
#define WEFT_TESTS_LINK_KIT_H

#include "link/link.h"

enum { KIT_MEM, KIT_TCP, KIT_IPC, KIT_KINDS };
enum { KIT_LINKS = 4, KIT_BODY_MAX = 256 * 1024, KIT_FRAME_MAX = 64 + KIT_BODY_MAX };
#define KIT_PATIENCE_MS INT64_C(20000) /* for what must happen */
#define KIT_CONNECT_MS INT64_C(3000)

typedef struct kit {
    int kind, count;
    weft_hub *hub;
    weft_link *links[KIT_LINKS];
} kit;

kit kit_open(int kind, int count);
void kit_close(kit *k);

const char *kit_endpoint(const kit *k, int i);
/* The next event but NOTHING; fails when none comes. */
weft_link_event kit_next(kit *k, int i);
/* The next event must be this, of this connection. */
weft_link_event kit_expect(kit *k, int i, weft_link_what what, uint32_t conn);
/* Nothing comes while `rounds` times everything that is there was read. */
void kit_expect_silence(kit *k, int i);
/* Dial link `to` and wait for UP. */
void kit_dial(kit *k, int from, uint32_t conn, int to);

/* A DATA frame of that sequence number and a body made from it. */
weft_message *kit_message(kit *k, int i, uint32_t sequence, size_t body);
void kit_send(kit *k, int i, uint32_t conn, uint32_t sequence, size_t body);
/* Is it that frame? */
void kit_check(const weft_message *m, uint32_t sequence, size_t body);
/* The next event must be that frame; returns its connection. */
uint32_t kit_receive(kit *k, int i, uint32_t sequence, size_t body);

#endif
