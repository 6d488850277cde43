/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/levels.h"

#include <string.h>

enum {
    GROUP = 8, /* numbers of fixed width that end on a byte whatever the width */
    GROUP_BYTES = 16,
    TRITS = 5,
    TRIT_BYTES = 243, /* 3^5 */
    ROW = 8
};

/* The five numbers of each byte; the rest of a row is written and then written over. */
#define ROW1(b)                                                                                    \
    {                                                                                              \
        (b) % 3, (b) / 3 % 3, (b) / 9 % 3, (b) / 27 % 3, (b) / 81, 0, 0, 0                         \
    }
#define ROW3(b) ROW1(b), ROW1((b) + 1), ROW1((b) + 2)
#define ROW9(b) ROW3(b), ROW3((b) + 3), ROW3((b) + 6)
#define ROW27(b) ROW9(b), ROW9((b) + 9), ROW9((b) + 18)
#define ROW81(b) ROW27(b), ROW27((b) + 27), ROW27((b) + 54)
static const uint16_t trits[TRIT_BYTES][ROW] = {ROW81(0), ROW81(81), ROW81(162)};

weft_levels weft_levels_for(uint32_t most)
{
    weft_levels l = {.form = WEFT_FORM_FIXED, .width = 2};
    while (most >> l.width)
        l.width++;
    if (most == 2) /* 1.6 bits against 2; never longer, by exact length */
        l.form = WEFT_FORM_TERNARY;
    return l;
}

size_t weft_levels_bytes(const weft_levels *l, size_t count)
{
    if (l->form == WEFT_FORM_TERNARY)
        return count / TRITS + (count % TRITS != 0);
    return count / GROUP * l->width + (count % GROUP * l->width + 7) / 8;
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) /* little endian; compilers make one load of it */
        v = v << 8 | p[i];
    return v;
}

static inline void store64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* Eight numbers to 16 bytes, of which `width` count. Two halves of at most 64 bits each. */
static inline void pack_group(const uint16_t *in, unsigned width, uint8_t *out)
{
    uint64_t half[2] = {0, 0};
    for (unsigned i = 0; i < GROUP / 2; i++) {
        half[0] |= (uint64_t)in[i] << (width * i);
        half[1] |= (uint64_t)in[i + 4] << (width * i);
    }
    if (width == 16) {
        store64(out, half[0]);
        store64(out + 8, half[1]);
        return;
    }
    store64(out, half[0] | half[1] << (4 * width));
    if (width > 8)
        store64(out + 8, half[1] >> (64 - 4 * width));
}

static inline void unpack_group(const uint8_t *in, unsigned width, uint16_t *out)
{
    uint64_t half[2] = {load64(in), 0}, mask = (UINT64_C(1) << width) - 1;
    if (width == 16)
        half[1] = load64(in + 8);
    else if (width > 8)
        half[1] = half[0] >> (4 * width) | load64(in + 8) << (64 - 4 * width);
    else
        half[1] = half[0] >> (4 * width);
    for (unsigned i = 0; i < GROUP / 2; i++) {
        out[i] = (uint16_t)(half[0] >> (width * i) & mask);
        out[i + 4] = (uint16_t)(half[1] >> (width * i) & mask);
    }
}

/* Groups whose 16 bytes lie within room; returns how many numbers were done. Inlined with a
 * constant width, so that the shifts are constants. */
static inline size_t pack_groups(const uint16_t *in, size_t count, unsigned width, uint8_t *out,
                                 size_t room)
{
    size_t done = 0;
    for (; done + GROUP <= count && room >= GROUP_BYTES; done += GROUP) {
        pack_group(in + done, width, out);
        out += width;
        room -= width;
    }
    return done;
}

static inline size_t unpack_groups(const uint8_t *in, size_t room, size_t count, unsigned width,
                                   uint16_t *out)
{
    size_t done = 0;
    for (; done + GROUP <= count && room >= GROUP_BYTES; done += GROUP) {
        unpack_group(in, width, out + done);
        in += width;
        room -= width;
    }
    return done;
}

#define EACH_WIDTH(X)                                                                              \
    X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)

static void pack_fixed(unsigned width, const uint16_t *in, size_t count, uint8_t *out, size_t room)
{
    size_t done = 0;
    switch (width) {
#define PACK_WIDTH(w)                                                                              \
    case w:                                                                                        \
        done = pack_groups(in, count, w, out, room);                                               \
        break;
        EACH_WIDTH(PACK_WIDTH)
#undef PACK_WIDTH
    }
    for (; done < count; done += GROUP) { /* near the end: by way of a buffer */
        uint16_t group[GROUP] = {0};
        uint8_t bytes[GROUP_BYTES];
        size_t n = count - done < GROUP ? count - done : GROUP;
        memcpy(group, in + done, n * sizeof(*in));
        pack_group(group, width, bytes);
        memcpy(out + done / GROUP * width, bytes, (n * width + 7) / 8);
    }
}

static void unpack_fixed(unsigned width, const uint8_t *in, size_t room, size_t count,
                         uint16_t *out)
{
    size_t done = 0;
    switch (width) {
#define UNPACK_WIDTH(w)                                                                            \
    case w:                                                                                        \
        done = unpack_groups(in, room, count, w, out);                                             \
        break;
        EACH_WIDTH(UNPACK_WIDTH)
#undef UNPACK_WIDTH
    }
    for (; done < count; done += GROUP) {
        uint16_t group[GROUP];
        uint8_t bytes[GROUP_BYTES] = {0};
        size_t n = count - done < GROUP ? count - done : GROUP;
        memcpy(bytes, in + done / GROUP * width, (n * width + 7) / 8);
        unpack_group(bytes, width, group);
        memcpy(out + done, group, n * sizeof(*out));
    }
}

static void pack_ternary(const uint16_t *in, size_t count, uint8_t *out)
{
    for (; count >= TRITS; in += TRITS, count -= TRITS)
        *out++ = (uint8_t)(in[0] + 3 * in[1] + 9 * in[2] + 27 * in[3] + 81 * in[4]);
    if (count > 0) {
        unsigned byte = 0;
        while (count > 0)
            byte = byte * 3 + in[--count];
        *out = (uint8_t)byte;
    }
}

static void unpack_ternary(const uint8_t *in, size_t count, uint16_t *out)
{
    for (; count >= ROW; out += TRITS, count -= TRITS)
        memcpy(out, trits[*in++], sizeof(trits[0]));
    for (; count > 0; in++) {
        size_t n = count < TRITS ? count : TRITS;
        memcpy(out, trits[*in], n * sizeof(*out));
        out += n;
        count -= n;
    }
}

void weft_levels_pack(const weft_levels *l, const uint16_t *in, size_t count, uint8_t *out,
                      size_t room)
{
    if (l->form == WEFT_FORM_TERNARY)
        pack_ternary(in, count, out);
    else
        pack_fixed(l->width, in, count, out, room);
}

void weft_levels_unpack(const weft_levels *l, const uint8_t *in, size_t room, size_t count,
                        uint16_t *out)
{
    if (l->form == WEFT_FORM_TERNARY)
        unpack_ternary(in, count, out);
    else
        unpack_fixed(l->width, in, room, count, out);
}

const char *weft_levels_check(const weft_levels *l, const uint8_t *in, size_t count,
                              size_t *ret_off)
{
    size_t bytes = weft_levels_bytes(l, count);
    if (bytes == 0)
        return NULL;
    *ret_off = bytes - 1;
    if (l->form == WEFT_FORM_FIXED) {
        size_t used = count % GROUP * l->width % 8; /* bits of the last byte, 0: all */
        return used && in[bytes - 1] >> used ? "non-zero padding" : NULL;
    }
    unsigned most = 0;
    for (size_t i = 0; i < bytes; i++)
        most = in[i] > most ? in[i] : most;
    if (most >= TRIT_BYTES) {
        for (*ret_off = 0; in[*ret_off] < TRIT_BYTES;)
            ++*ret_off;
        return "a byte above 242 in ternary levels";
    }
    for (size_t i = count % TRITS; i > 0 && i < TRITS; i++)
        if (trits[in[bytes - 1]][i])
            return "non-zero padding";
    return NULL;
}
