/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/levels.h"

#include <string.h>

#include "base/bytes.h"
#include "kernel/kernel_quant.h"

enum {
    GROUP = 8,  /* numbers of fixed width that end on a byte whatever the width */
    NARROW = 8, /* bits of the widest number that is held in a byte */
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
static const uint8_t trits[TRIT_BYTES][ROW] = {ROW81(0), ROW81(81), ROW81(162)};

weft_levels weft_levels_for(uint32_t most)
{
    weft_levels l = {.form = WEFT_FORM_FIXED, .width = 2};
    while (most >> l.width)
        l.width++;
    if (most == 2) /* 1.6 bits against 2; never longer, by exact length */
        l.form = WEFT_FORM_TERNARY;
    l.wide = l.width > NARROW;
    return l;
}

size_t weft_levels_bytes(const weft_levels *l, size_t count)
{
    if (l->form == WEFT_FORM_TERNARY)
        return count / TRITS + (count % TRITS != 0);
    return count / GROUP * l->width + (count % GROUP * l->width + 7) / 8;
}

/* The product's fifth byte is t0 + 3 t1 + 9 t2 + 27 t3 + 81 t4: nothing is carried into it, since
 * no byte below exceeds 255. */
static uint8_t five(const uint8_t *in)
{
    return (uint8_t)(weft_load_little(in) * UINT64_C(0x0103091b51) >> 32);
}

static void pack_ternary(const uint8_t *in, size_t count, uint8_t *out)
{
    for (; count >= ROW; in += TRITS, count -= TRITS)
        *out++ = five(in);
    for (; count > 0; in += TRITS) {
        uint8_t row[ROW] = {0};
        const size_t n = count < TRITS ? count : TRITS;
        memcpy(row, in, n);
        *out++ = five(row);
        count -= n;
    }
}

static void unpack_ternary(const uint8_t *in, size_t count, uint8_t *out)
{
    for (; count >= ROW; out += TRITS, count -= TRITS)
        memcpy(out, trits[*in++], ROW);
    for (; count > 0; in++) {
        const size_t n = count < TRITS ? count : TRITS;
        memcpy(out, trits[*in], n);
        out += n;
        count -= n;
    }
}

void weft_levels_pack(const weft_levels *l, const weft_numbers *in, size_t count, uint8_t *out,
                      size_t room)
{
    if (l->form == WEFT_FORM_TERNARY)
        pack_ternary(in->byte, count, out);
    else if (l->wide)
        weft_kernel_pack16(l->width, in->word, count, out, room);
    else
        weft_kernel_pack8(l->width, in->byte, count, out, room);
}

void weft_levels_unpack(const weft_levels *l, const uint8_t *in, size_t room, size_t count,
                        weft_numbers *out)
{
    if (l->form == WEFT_FORM_TERNARY)
        unpack_ternary(in, count, out->byte);
    else if (l->wide)
        weft_kernel_unpack16(l->width, in, room, count, out->word);
    else
        weft_kernel_unpack8(l->width, in, room, count, out->byte);
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
    if (weft_kernel_most8(in, bytes) >= TRIT_BYTES) {
        for (*ret_off = 0; in[*ret_off] < TRIT_BYTES;)
            ++*ret_off;
        return "a byte above 242 in ternary levels";
    }
    for (size_t i = count % TRITS; i > 0 && i < TRITS; i++)
        if (trits[in[bytes - 1]][i])
            return "non-zero padding";
    return NULL;
}
