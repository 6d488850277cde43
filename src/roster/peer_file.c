/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of "key value" in this order, all of them, ended by "end": what was cut short is seen.
 *
 *     weft-peer 0.1               protocol version; this and the next line stay in every version
 *     job nightly-7
 *     peers 4
 *     uuid 0f…                    32 hexadecimal digits
 *     host 5a…
 *     rank 2                      -1: none
 *     endpoint tcp://10.0.0.1:7   twice; "-": none
 *     endpoint -
 *     arrival 123456789
 *     process 4711 99 4026531836  pid, start, pid namespace
 *     stamp 1
 *     state 1                     weft_known_state
 *     code 0
 *     why -                       rest of the line
 *     ready 00ff…                 16 hexadecimal digits
 *     end
 */
#include "roster/peer_file.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "wire/frame.h"

enum { HEX = 33, PREFIX_TEXT = 64 };

static void put_hex(const uint8_t *bytes, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++)
        snprintf(out + 2 * i, 3, "%02x", (unsigned)bytes[i]);
}

static bool get_hex(const char *text, uint8_t *out, size_t count)
{
    if (strlen(text) != 2 * count)
        return false;
    for (size_t i = 0; i < 2 * count; i++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, text[i]);
        if (!at)
            return false;
        uint8_t nibble = (uint8_t)(at - digits);
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] << 4 | nibble : nibble);
    }
    return true;
}

void weft_peer_file_prefix(const char *job, char out[WEFT_PEER_FILE_NAME])
{
    size_t len = 0;
    bool changed = strlen(job) > PREFIX_TEXT;
    for (; job[len] && len < PREFIX_TEXT; len++) {
        bool plain = isalnum((unsigned char)job[len]) || strchr("-_.", job[len]);
        if (len == 0 && job[0] == '.')
            plain = false; /* no hidden files */
        out[len] = plain ? job[len] : '_';
        changed = changed || !plain;
    }
    /* Two job ids that look alike now still differ. */
    if (changed)
        snprintf(out + len, WEFT_PEER_FILE_NAME - len, "~%016" PRIx64 ".",
                 weft_hash64(job, strlen(job)));
    else
        memcpy(out + len, ".", 2);
}

void weft_peer_file_name(const char *job, const uint8_t uuid[16], char out[WEFT_PEER_FILE_NAME])
{
    char hex[HEX];
    put_hex(uuid, 16, hex);
    weft_peer_file_prefix(job, out);
    size_t len = strlen(out);
    snprintf(out + len, WEFT_PEER_FILE_NAME - len, "%s.peer", hex);
}

size_t weft_peer_file_format(const weft_known *k, const weft_meeting *m,
                             char out[WEFT_PEER_FILE_MAX])
{
    char uuid[HEX], host[HEX];
    const weft_entry *e = &k->entry;
    put_hex(e->uuid, 16, uuid);
    put_hex(e->host, 16, host);
    int len = snprintf(
        out, WEFT_PEER_FILE_MAX,
        "weft-peer %d.%d\njob %s\npeers %d\nuuid %s\nhost %s\nrank %d\nendpoint %s\nendpoint %s\n"
        "arrival %" PRIu64 "\nprocess %" PRId32 " %" PRIu64 " %" PRIu64 "\nstamp %" PRIu32 "\n"
        "state %d\ncode %d\nwhy %s\nready %016" PRIx64 "\nend\n",
        WEFT_FRAME_MAJOR, WEFT_FRAME_MINOR, m->job, m->peers, uuid, host, e->rank,
        e->endpoint[0][0] ? e->endpoint[0] : "-", e->endpoint[1][0] ? e->endpoint[1] : "-",
        e->arrival, k->process.pid, k->process.born, k->process.space, k->stamp, k->state, k->code,
        k->why[0] ? k->why : "-", e->ready);
    return len < 0 || len >= WEFT_PEER_FILE_MAX ? 0 : (size_t)len;
}

/* A text that is cut into lines as it is read. */
typedef struct reader {
    const char *at, *end;
    const char *why;
    char value[WEFT_WHY_TEXT + 64];
} reader;

/* The next line is "key value": value into r->value. After a failure all others fail too. */
static bool take(reader *r, const char *key, const char *why)
{
    if (r->why)
        return false;
    r->why = why;
    size_t key_len = strlen(key);
    const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (!stop || (size_t)(stop - r->at) <= key_len + 1 || memcmp(r->at, key, key_len) != 0 ||
        r->at[key_len] != ' ')
        return false;
    size_t len = (size_t)(stop - r->at) - key_len - 1;
    if (len >= sizeof(r->value))
        return false;
    memcpy(r->value, r->at + key_len + 1, len);
    r->value[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)r->value[i] < ' ' || r->value[i] == 0x7f)
            return false;
    r->at = stop + 1;
    r->why = NULL;
    return true;
}

/* Numbers, `count` of them, each whole and in range. */
static bool take_numbers(reader *r, const char *key, int count, uint64_t max, uint64_t *out,
                         const char *why)
{
    if (!take(r, key, why))
        return false;
    const char *p = r->value;
    for (int i = 0; i < count; i++) {
        uint64_t v = 0;
        int digits = 0;
        for (; isdigit((unsigned char)*p); p++, digits++) {
            uint64_t digit = (uint64_t)(*p - '0');
            if (v > (UINT64_MAX - digit) / 10)
                goto bad;
            v = v * 10 + digit;
        }
        if (digits == 0 || v > max || *p != (i + 1 < count ? ' ' : '\0'))
            goto bad;
        out[i] = v;
        p++;
    }
    return true;
bad:
    r->why = why;
    return false;
}

static bool take_bytes(reader *r, const char *key, uint8_t *out, size_t count, const char *why)
{
    if (!take(r, key, why))
        return false;
    if (get_hex(r->value, out, count))
        return true;
    r->why = why;
    return false;
}

static bool take_endpoint(reader *r, char out[WEFT_ENDPOINT_TEXT])
{
    if (!take(r, "endpoint", "an \"endpoint\" line is missing or malformed"))
        return false;
    size_t len = strlen(r->value);
    if (strcmp(r->value, "-") == 0)
        len = 0;
    if (len >= WEFT_ENDPOINT_TEXT || (len && strchr(r->value, ' '))) {
        r->why = "an \"endpoint\" line is malformed";
        return false;
    }
    memcpy(out, r->value, len);
    out[len] = '\0';
    return true;
}

/* A number that may be negative. */
static bool take_signed(reader *r, const char *key, long min, long max, int *out, const char *why)
{
    if (!take(r, key, why))
        return false;
    char *stop;
    long v = strtol(r->value, &stop, 10);
    bool starts = isdigit((unsigned char)r->value[0]) ||
                  (r->value[0] == '-' && isdigit((unsigned char)r->value[1]));
    if (!starts || *stop || v < min || v > max) {
        r->why = why;
        return false;
    }
    *out = (int)v;
    return true;
}

/* The two lines of every version. 1: this job and version. */
static int parse_head(reader *r, const weft_meeting *m)
{
    int major, minor;
    char version[32], rest;
    if (!take(r, "weft-peer", "it does not begin with \"weft-peer VERSION\""))
        return 0;
    bool versioned = strlen(r->value) < sizeof(version) &&
                     sscanf(r->value, "%3d.%3d%c", &major, &minor, &rest) == 2;
    if (!versioned) {
        r->why = "it does not begin with \"weft-peer VERSION\"";
        return 0;
    }
    strcpy(version, r->value);
    if (!take(r, "job", "its \"job\" line is missing or malformed"))
        return 0;
    if (strcmp(r->value, m->job) != 0) {
        r->why = "it is of another job";
        return 0;
    }
    if (major != WEFT_FRAME_MAJOR)
        return weft_fail(WEFT_EVERSION, "a peer speaks protocol version %s, this one %d.%d",
                         version, WEFT_FRAME_MAJOR, WEFT_FRAME_MINOR);
    return 1;
}

/* Everything behind the head. */
static void parse_body(reader *r, weft_known *k, int *peers, int *rank)
{
    weft_entry *e = &k->entry;
    uint64_t v[3];
    if (take_numbers(r, "peers", 1, UINT16_MAX, v, "its \"peers\" line is missing or malformed"))
        *peers = (int)v[0];
    take_bytes(r, "uuid", e->uuid, 16, "its \"uuid\" line is missing or malformed");
    take_bytes(r, "host", e->host, 16, "its \"host\" line is missing or malformed");
    take_signed(r, "rank", -1, UINT16_MAX - 1, rank, "its \"rank\" line is missing or malformed");
    for (int i = 0; i < WEFT_ROSTER_ENDPOINTS; i++)
        take_endpoint(r, e->endpoint[i]);
    take_numbers(r, "arrival", 1, UINT64_MAX, &e->arrival, "its \"arrival\" line is malformed");
    if (take_numbers(r, "process", 3, UINT64_MAX, v, "its \"process\" line is malformed")) {
        if (v[0] > INT32_MAX)
            r->why = "its \"process\" line is malformed";
        k->process =
            (weft_process){.pid = (int32_t)(v[0] & INT32_MAX), .born = v[1], .space = v[2]};
    }
    if (take_numbers(r, "stamp", 1, UINT32_MAX, v, "its \"stamp\" line is malformed"))
        k->stamp = (uint32_t)v[0];
    take_signed(r, "state", WEFT_KNOWN_HERE, WEFT_KNOWN_GAVE_UP, &k->state,
                "its \"state\" line is malformed");
    take_signed(r, "code", INT16_MIN, 0, &k->code, "its \"code\" line is malformed");
    if (take(r, "why", "its \"why\" line is malformed")) {
        if (strlen(r->value) >= WEFT_WHY_TEXT)
            r->why = "its \"why\" line is too long";
        else
            strcpy(k->why, r->value);
    }
    uint8_t ready[8];
    if (take_bytes(r, "ready", ready, sizeof(ready), "its \"ready\" line is malformed"))
        for (size_t i = 0; i < sizeof(ready); i++)
            e->ready = e->ready << 8 | ready[i];
    if (!r->why && (r->end - r->at != 4 || memcmp(r->at, "end\n", 4) != 0))
        r->why = "it does not close with \"end\"";
    static const uint8_t nobody[16];
    if (!r->why && (memcmp(e->uuid, nobody, 16) == 0 || k->stamp == 0))
        r->why = "its \"uuid\" or \"stamp\" is zero";
}

int weft_peer_file_parse(const char *text, size_t len, const weft_meeting *m, weft_known *ret,
                         const char **why)
{
    reader r = {.at = text, .end = text + len};
    weft_known k = {.entry = {.rank = -1}};
    int peers = 0, rank = -1;
    int status = parse_head(&r, m);
    if (status > 0) {
        parse_body(&r, &k, &peers, &rank);
        if (!r.why && peers != m->peers) {
            k.entry.rank = rank;
            char name[192];
            weft_known_name(&k, name, sizeof(name));
            *ret = k;
            return weft_fail(WEFT_EINVAL, "%s expects %d peers, this one %d", name, peers,
                             m->peers);
        }
        if (!r.why && rank >= m->peers)
            r.why = "its rank is not below its number of peers";
        k.entry.rank = rank;
    }
    if (status < 0)
        return status;
    if (r.why) {
        *why = r.why;
        return 0;
    }
    *ret = k;
    return 1;
}
