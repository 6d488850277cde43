/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a peer's entry, as a file (first byte even) or as a ROSTER frame's body (odd): no input
 * may read past its end, and what is taken is within its ranges. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/status.h>

#include "roster/peer_file.h"
#include "roster/peer_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const weft_known *k, int peers, int states)
{
    if (k->entry.rank < -1 || k->entry.rank >= peers || k->stamp == 0 ||
        k->state < WEFT_KNOWN_HERE || k->state >= states || k->code > 0 ||
        memchr(k->why, '\0', sizeof(k->why)) == NULL)
        abort();
    for (int i = 0; i < WEFT_ROSTER_ENDPOINTS; i++)
        if (memchr(k->entry.endpoint[i], '\0', WEFT_ENDPOINT_TEXT) == NULL ||
            strchr(k->entry.endpoint[i], ' ') != NULL)
            abort();
}

static void read_file(const uint8_t *text, size_t len)
{
    static const weft_meeting m = {.peers = 4, .job = "job"};
    const char *why = NULL;
    weft_known k;
    const int got = weft_peer_file_parse((const char *)text, len, &m, &k, &why);
    if (got == 1)
        check(&k, m.peers, WEFT_KNOWN_DEAD);
    else if (got == 0 ? why == NULL : got != WEFT_EVERSION && got != WEFT_EINVAL)
        abort();
}

static void read_frame(const uint8_t *body, size_t len)
{
    weft_telling t;
    weft_known k;
    size_t count = 0;
    const int got = weft_telling_open(body, len, &t);
    if (got != WEFT_OK) {
        if (got != WEFT_EPROTO)
            abort();
        return;
    }
    for (; weft_telling_next(&t, &k); count++)
        check(&k, t.peers, WEFT_KNOWN_STATES);
    if (count != t.count || memchr(t.job, '\0', sizeof(t.job)) == NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* A copy of exact length: a checker sees a read behind it. */
    uint8_t *copy = malloc(size);
    if (copy == NULL)
        return 0;
    memcpy(copy, data + 1, size - 1);
    if (data[0] % 2)
        read_frame(copy, size - 1);
    else
        read_file(copy, size - 1);
    free(copy);
    return 0;
}
