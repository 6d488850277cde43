/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rng.h"
#include "codec/levels.h"

enum { MOST = 100, CANARY = 32, BYTES = 2 * MOST + 2 * CANARY };

Test(codec_levels, the_form_follows_from_the_largest_number)
{
    cr_assert_eq(weft_levels_for(2).form, WEFT_FORM_TERNARY);
    for (unsigned width = 3; width <= 16; width++) {
        uint32_t top = (1u << width) - 1, least = (1u << (width - 1)) + (width == 2);
        cr_assert_eq(weft_levels_for(top).form, WEFT_FORM_FIXED);
        cr_assert_eq(weft_levels_for(top).width, width);
        cr_assert_eq(weft_levels_for(least).width, width);
    }
    cr_assert_eq(weft_levels_for(3).width, 2);
}

/* The layout, bit by bit and digit by digit. */
static void pack_slowly(const weft_levels *l, const uint16_t *in, size_t count, uint8_t *out)
{
    static const int power[] = {1, 3, 9, 27, 81};
    memset(out, 0, weft_levels_bytes(l, count));
    for (size_t i = 0; i < count; i++) {
        if (l->form == WEFT_FORM_TERNARY)
            out[i / 5] = (uint8_t)(out[i / 5] + in[i] * power[i % 5]);
        for (unsigned b = 0; l->form == WEFT_FORM_FIXED && b < l->width; b++) {
            size_t at = i * l->width + b;
            out[at / 8] = (uint8_t)(out[at / 8] | (in[i] >> b & 1) << (at % 8));
        }
    }
}

Test(codec_levels, packing_follows_the_layout_and_comes_back)
{
    static const uint32_t tops[] = {2,   3,    4,    6,    14,   30,    62,    126,  254,
                                    510, 1022, 2046, 4094, 8190, 16382, 32766, 65534};
    weft_rng rng = {.state = 1};
    for (size_t k = 0; k < sizeof(tops) / sizeof(tops[0]); k++)
        for (size_t n = 0; n <= MOST; n++) {
            weft_levels l = weft_levels_for(tops[k]);
            size_t bytes = weft_levels_bytes(&l, n), off = 0;
            uint16_t in[MOST];
            weft_numbers number, back;
            uint8_t want[BYTES], got[BYTES];
            for (size_t i = 0; i < n; i++) {
                in[i] = (uint16_t)weft_rng_below(&rng, tops[k] + 1);
                if (l.wide)
                    number.word[i] = in[i];
                else
                    number.byte[i] = (uint8_t)in[i];
            }
            memset(got, 0xcc, sizeof(got));
            pack_slowly(&l, in, n, want);
            weft_levels_pack(&l, &number, n, got + CANARY, bytes);
            cr_assert_arr_eq(got + CANARY, want, bytes, "top %u, %zu numbers", tops[k], n);
            for (size_t i = 0; i < sizeof(got); i++)
                cr_assert(got[i] == 0xcc || (i >= CANARY && i < CANARY + bytes));
            cr_assert_null(weft_levels_check(&l, got + CANARY, n, &off));
            memset(&back, 0xbe, sizeof(back));
            weft_levels_unpack(&l, got + CANARY, bytes, n, &back);
            const size_t used = n * (l.wide ? 2 : 1);
            cr_assert(!memcmp(&back, &number, used), "top %u, %zu numbers", tops[k], n);
            for (size_t i = used; i < used + CANARY; i++)
                cr_assert_eq(((const uint8_t *)&back)[i], 0xbe, "wrote past the end");
        }
}

Test(codec_levels, padding_that_is_not_zero_is_found)
{
    size_t off = 99;
    const uint8_t fixed[2] = {0xff, 0x10}; /* 3 numbers of 4 bits: 4 bits of padding */
    weft_levels four = {.form = WEFT_FORM_FIXED, .width = 4};
    cr_assert_not_null(weft_levels_check(&four, fixed, 3, &off));
    cr_assert_eq(off, 1);
    cr_assert_null(weft_levels_check(&four, fixed, 4, &off));
    weft_levels ternary = {.form = WEFT_FORM_TERNARY};
    const uint8_t digits[2] = {242, 2 + 3 * 1};
    cr_assert_not_null(weft_levels_check(&ternary, digits, 6, &off));
    cr_assert_eq(off, 1);
    cr_assert_null(weft_levels_check(&ternary, digits, 7, &off));
}

Test(codec_levels, bytes_that_are_not_five_digits_are_found)
{
    weft_levels ternary = {.form = WEFT_FORM_TERNARY};
    for (int b = 0; b < 256; b++) {
        const uint8_t in[3] = {0, (uint8_t)b, 0};
        size_t off = 99;
        cr_assert_eq(weft_levels_check(&ternary, in, 15, &off) != NULL, b > 242, "byte %d", b);
        cr_assert(b <= 242 || off == 1);
    }
}
