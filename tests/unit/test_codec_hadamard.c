/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"

enum { COUNT = 43, BLOCK = 16, PADDED = 48, ROOM = 512 };

static const weft_draw draw = {
    .seed = 0x123456789ABCDEF0, .member = 3, .tensor = 9, .draw = 0xFEDCBA987654, .first = 160};

static weft_codec *opened(const char *spec)
{
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, spec), WEFT_OK, "%s", weft_last_error()->message);
    return c;
}

/* The key of signs, from the description. */
static uint64_t key_of(const weft_draw *d)
{
    const uint32_t counter[4] = {0, (uint32_t)d->draw,
                                 (uint32_t)(d->draw >> 32) + (d->tensor << 16), 0xFFFFFFFE};
    const uint32_t key[2] = {(uint32_t)d->seed, (uint32_t)(d->seed >> 32)};
    uint32_t out[4];
    weft_philox(counter, key, out);
    return out[0] | (uint64_t)out[1] << 32;
}

static double sign_of(uint64_t key, size_t j)
{
    const uint32_t counter[4] = {(uint32_t)(j / 128), 0, 0, 0xFFFFFFFE};
    const uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    uint32_t out[4];
    weft_philox(counter, k, out);
    return out[j % 128 / 32] >> j % 32 & 1 ? -1.0 : 1.0;
}

/* The rotated vector by the definition of the matrix: entry (r, j) is negative when r & j has an
 * odd number of bits. Small whole numbers: every sum is exact. */
static void rotated(const float *v, uint64_t key, float *out)
{
    for (size_t r = 0; r < PADDED; r++) {
        double sum = 0;
        for (size_t j = 0; j < BLOCK && r / BLOCK * BLOCK + j < COUNT; j++) {
            const double h = __builtin_parityll(r % BLOCK & j) ? -1.0 : 1.0;
            sum += h * sign_of(key, j) * (double)v[r / BLOCK * BLOCK + j];
        }
        out[r] = (float)(sum / 4);
    }
}

static void whole_numbers(float v[COUNT])
{
    for (int i = 0; i < COUNT; i++)
        v[i] = (float)((i * 37) % 64 - 32);
}

Test(codec_hadamard, sends_the_key_of_signs_and_the_quantized_rotation)
{
    static const char *const inner[][2] = {{"qsgd2", "qsgd:levels=1,bucket=16"},
                                           {"qsgd4", "qsgd:levels=7,bucket=16"},
                                           {"qsgd8", "qsgd:levels=127,bucket=16"}};
    float v[COUNT], y[PADDED];
    whole_numbers(v);
    for (size_t k = 0; k < 3; k++) {
        char spec[64];
        uint8_t bytes[ROOM], want[ROOM];
        size_t len = 0, inner_len = 0;
        snprintf(spec, sizeof(spec), "hadamard:inner=%s,block=%d", inner[k][0], BLOCK);
        weft_codec *c = opened(spec), *q = opened(inner[k][1]);
        const uint64_t key = key_of(&draw);
        rotated(v, key, y);
        cr_assert_leq(weft_codec_bound(c, COUNT), (size_t)ROOM);
        cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, ROOM, &len), WEFT_OK);
        cr_assert_eq(weft_codec_encode(q, &draw, y, PADDED, want, ROOM, &inner_len), WEFT_OK);
        cr_assert_eq(len, 8 + inner_len);
        cr_assert_arr_eq(bytes, &key, 8);
        cr_assert_arr_eq(bytes + 8, want, inner_len);
        double omega = 0, of_inner = 0;
        cr_assert_eq(weft_codec_omega(c, COUNT, &omega), WEFT_OK);
        cr_assert_eq(weft_codec_omega(q, PADDED, &of_inner), WEFT_OK);
        cr_assert_eq(omega, of_inner);
        weft_codec_close(&c);
        weft_codec_close(&q);
    }
}

Test(codec_hadamard, rotates_back_what_was_quantized)
{
    float v[COUNT], out[COUNT];
    uint8_t bytes[ROOM];
    size_t len = 0;
    weft_codec *c = opened("hadamard:inner=qsgd8,block=16");
    whole_numbers(v);
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, ROOM, &len), WEFT_OK);
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, COUNT), WEFT_OK);
    for (int i = 0; i < COUNT; i++) /* 16 steps of a scale of at most 128, each below 128 / 127 */
        cr_assert_lt(fabsf(out[i] - v[i]), 4.0f, "element %d: %g, not %g", i, (double)out[i],
                     (double)v[i]);
    weft_codec_close(&c);
}

Test(codec_hadamard, a_spike_is_spread_over_its_block)
{
    enum { LONG = 1024 };
    static float v[LONG], out[LONG];
    static uint8_t bytes[LONG];
    size_t len = 0;
    double error[2] = {0, 0};
    static const char *const specs[] = {"qsgd:levels=7,bucket=1024", "hadamard:inner=qsgd4"};
    for (int i = 0; i < LONG; i++)
        v[i] = sinf((float)i * 1.7f);
    v[500] = 100;
    for (int k = 0; k < 2; k++) {
        weft_codec *c = opened(specs[k]);
        cr_assert_leq(weft_codec_bound(c, LONG), (size_t)LONG);
        cr_assert_eq(weft_codec_encode(c, &draw, v, LONG, bytes, LONG, &len), WEFT_OK);
        cr_assert_eq(weft_codec_decode(c, bytes, len, out, LONG), WEFT_OK);
        for (int i = 0; i < LONG; i++)
            error[k] += pow((double)(out[i] - v[i]), 2);
        weft_codec_close(&c);
    }
    cr_assert_lt(10 * error[1], error[0]);
}

Test(codec_hadamard, zeros_stay_zeros_and_too_large_elements_are_refused)
{
    float v[COUNT] = {0}, out[COUNT];
    uint8_t bytes[ROOM];
    size_t len = 0;
    weft_codec *c = opened("hadamard:block=16");
    v[3] = -0.0f;
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, ROOM, &len), WEFT_OK);
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, COUNT), WEFT_OK);
    for (int i = 0; i < COUNT; i++)
        cr_assert(out[i] == 0 && !signbit(out[i]));
    v[5] = nextafterf(0x1p120f, 0); /* 126 - 4 - 2 */
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, ROOM, &len), WEFT_OK);
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, COUNT), WEFT_OK);
    for (int i = 0; i < COUNT; i++)
        cr_assert(isfinite(out[i]));
    v[5] = -0x1p120f;
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, ROOM, &len), WEFT_ENONFINITE);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec hadamard: element 165 is -1.32923e+36: too large");
    weft_codec_close(&c);
}

Test(codec_hadamard, bad_blocks_and_damage_are_refused)
{
    float v[COUNT], out[COUNT];
    uint8_t bytes[ROOM];
    size_t len = 0;
    const float huge = 0x1p126f;
    weft_codec *c = NULL;
    cr_assert_eq(weft_codec_open(&c, "hadamard:block=1000"), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec hadamard: block: 1000 is not a power of two");
    c = opened("hadamard:inner=qsgd8,block=16");
    whole_numbers(v);
    memset(out, 0x77, sizeof(out));
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, ROOM, &len), WEFT_OK);
    cr_assert_eq(weft_codec_decode(c, bytes, 5, out, COUNT), WEFT_ECODEC);
    cr_assert_str_eq(weft_last_error()->message, "codec hadamard: offset 5: no key of signs");
    cr_assert_eq(weft_codec_decode(c, bytes, len - 1, out, COUNT), WEFT_ECODEC);
    cr_assert(
        strstr(weft_last_error()->message, "codec hadamard, behind 8 bytes: codec qsgd: offset"),
        "%s", weft_last_error()->message);
    memcpy(bytes + 9, &huge, sizeof(huge)); /* the first scale, behind key and form */
    cr_assert_eq(weft_codec_decode(c, bytes, len, out, COUNT), WEFT_ECODEC);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec hadamard: offset 8: a scale is too large to rotate back");
    for (size_t i = 0; i < sizeof(out); i++)
        cr_assert_eq(((uint8_t *)out)[i], 0x77);
    weft_codec_close(&c);
}

Test(codec_hadamard, running_out_of_memory_is_reported_and_leaks_nothing)
{
    float v[COUNT], out[COUNT];
    uint8_t bytes[ROOM];
    size_t len = 0;
    long n = 1;
    weft_codec *c = NULL;
    for (int code = WEFT_ENOMEM; code != WEFT_OK; n++) {
        weft_mem_fail_at(n);
        code = weft_codec_open(&c, "hadamard:block=16");
        weft_mem_fail_at(0);
        cr_assert(code == WEFT_OK || code == WEFT_ENOMEM);
        cr_assert_eq(c != NULL, code == WEFT_OK);
    }
    cr_assert_eq(n, 4, "the codec and the one inside");
    whole_numbers(v);
    weft_mem_fail_at(1);
    cr_expect_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, ROOM, &len), WEFT_ENOMEM);
    weft_mem_fail_at(0);
    cr_assert_eq(weft_codec_encode(c, &draw, v, COUNT, bytes, ROOM, &len), WEFT_OK);
    weft_mem_fail_at(1);
    cr_expect_eq(weft_codec_decode(c, bytes, len, out, COUNT), WEFT_ENOMEM);
    weft_mem_fail_at(0);
    weft_codec_close(&c);
}
