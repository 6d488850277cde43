/* SPDX-License-Identifier: Apache-2.0 */
/* Loops of codecs and votes: against plain loops, for every instruction set, at odd addresses. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "kernel/kernel_table.h"

enum { MOST = 1100, ROWS = 40, PAD = 64 };

/* The tables this CPU can run. */
static int tables(const weft_kernels *ret[2])
{
    int n = 0;
    ret[n++] = &weft_kernels_c;
#ifdef WEFT_HAVE_AVX2
    if (__builtin_cpu_supports("avx2"))
        ret[n++] = &weft_kernels_avx2;
#endif
    return n;
}

#define FOR_EACH_TABLE(k)                                                                          \
    const weft_kernels *all[2];                                                                    \
    for (int i_##k = 0, n_##k = tables(all); i_##k < n_##k; i_##k++)                               \
        for (const weft_code_kernels *k = &all[i_##k]->code; k; k = NULL)

static const size_t counts[] = {0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1000, MOST};
enum { COUNTS = sizeof(counts) / sizeof(counts[0]) };

static void floats(float *v, size_t count, uint64_t seed)
{
    static const float special[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1p127f, -0x1p127f};
    weft_rng rng = {.state = seed};
    for (size_t i = 0; i < count; i++) {
        const uint64_t r = weft_rng_below(&rng, 12);
        v[i] = r < 6 ? special[r] : (float)(weft_rng_unit(&rng) - 0.5);
    }
}

Test(kernel_code, signs_are_packed_eight_a_byte_and_the_largest_magnitude_returned)
{
    static uint8_t buffer[4 * MOST + 8], out[MOST / 8 + PAD];
    static float v[MOST];
    FOR_EACH_TABLE(k)
    for (size_t c = 0; c < COUNTS; c++) {
        const size_t n = counts[c], bytes = (n + 7) / 8;
        float most = 0;
        floats(v, n, c + 1);
        memcpy(buffer + 1, v, 4 * n);
        memset(out, 0xee, sizeof(out));
        const float got = k->pack_signs((float *)(void *)(buffer + 1), n, out + 1);
        for (size_t i = 0; i < 8 * bytes; i++) {
            const int bit = out[1 + i / 8] >> i % 8 & 1;
            cr_assert_eq(bit, i < n && v[i] < 0, "element %zu of %zu", i, n);
        }
        for (size_t i = 0; i < n; i++)
            most = fmaxf(most, fabsf(v[i]));
        cr_assert_eq(got, most);
        cr_assert(out[0] == 0xee && out[1 + bytes] == 0xee, "beyond, of %zu", n);
    }
}

Test(kernel_code, packing_signs_finds_nan_and_infinity_anywhere)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    float v[75];
    uint8_t out[16];
    FOR_EACH_TABLE(k)
    for (size_t at = 0; at < 75; at++)
        for (int b = 0; b < 4; b++) {
            for (size_t i = 0; i < 75; i++)
                v[i] = i % 2 ? 0x1p127f : -1;
            cr_assert(isfinite(k->pack_signs(v, 75, out)));
            v[at] = bad[b];
            cr_assert_not(isfinite(k->pack_signs(v, 75, out)), "element %zu", at);
        }
}

Test(kernel_code, signs_are_spread_from_any_bit_on)
{
    uint8_t bits[MOST / 8 + 2];
    static uint8_t buffer[4 * MOST + PAD];
    weft_rng rng = {.state = 9};
    for (size_t i = 0; i < sizeof(bits); i++)
        bits[i] = (uint8_t)weft_rng_u64(&rng);
    FOR_EACH_TABLE(k)
    for (size_t c = 0; c < COUNTS; c++)
        for (size_t from = 0; from < 9; from++) {
            const size_t n = counts[c] < MOST - 8 ? counts[c] : MOST - 8;
            memset(buffer, 0xee, sizeof(buffer));
            k->spread_signs(bits, from, n, 2.5f, -0.25f, (float *)(void *)(buffer + 1));
            for (size_t i = 0; i < n; i++) {
                float e;
                memcpy(&e, buffer + 1 + 4 * i, sizeof(e));
                cr_assert_eq(e, bits[(from + i) / 8] >> (from + i) % 8 & 1 ? -0.25f : 2.5f);
            }
            cr_assert(buffer[0] == 0xee && buffer[1 + 4 * n] == 0xee);
        }
}

Test(kernel_code, halves_have_the_same_bits_in_every_table)
{
    static float v[MOST], back[2][MOST];
    static uint16_t half[2][MOST];
    const weft_kernels *all[2];
    if (tables(all) < 2)
        cr_skip_test("one table only");
    for (size_t c = 0; c < COUNTS; c++) {
        const size_t n = counts[c];
        floats(v, n, c + 50);
        for (int t = 0; t < 2; t++) {
            const uint16_t most = all[t]->code.to_f16(v, n, half[t]);
            cr_assert_eq(most, all[t]->code.half_most(half[t], n));
            all[t]->code.from_f16(half[t], n, back[t]);
        }
        cr_assert_arr_eq(half[0], half[1], n * sizeof(half[0][0]));
        cr_assert_arr_eq(back[0], back[1], n * sizeof(back[0][0]));
        for (int t = 0; t < 2; t++) {
            const uint16_t most = all[t]->code.to_bf16(v, n, half[t]);
            cr_assert_eq(most, all[t]->code.half_most(half[t], n));
            all[t]->code.from_bf16(half[t], n, back[t]);
        }
        cr_assert_arr_eq(half[0], half[1], n * sizeof(half[0][0]));
        cr_assert_arr_eq(back[0], back[1], n * sizeof(back[0][0]));
    }
}

/* Rows of random bits, and the count of each bit over the first n of them. */
static void make_rows(uint8_t *storage, const uint8_t *rows[ROWS], size_t bytes, uint64_t seed)
{
    weft_rng rng = {.state = seed};
    for (size_t r = 0; r < ROWS; r++) {
        uint8_t *row = storage + r * (bytes + 1);
        for (size_t i = 0; i < bytes; i++)
            row[i] = r % 5 == 4 ? 0xff : (uint8_t)weft_rng_u64(&rng);
        rows[r] = row;
    }
}

static unsigned count_at(const uint8_t *planes, unsigned n, size_t bytes, size_t i)
{
    unsigned count = 0;
    for (unsigned p = 0; p < n; p++)
        count |= (planes[p * bytes + i / 8] >> i % 8 & 1u) << p;
    return count;
}

static unsigned rows_at(const uint8_t *const *rows, size_t n, size_t i)
{
    unsigned count = 0;
    for (size_t r = 0; r < n; r++)
        count += rows[r][i / 8] >> i % 8 & 1u;
    return count;
}

Test(kernel_code, tallies_count_any_number_of_rows)
{
    static const size_t lengths[] = {0, 1, 5, 31, 32, 33, 64, 100};
    static uint8_t storage[ROWS * 101], planes[6 * 100 + 1];
    const uint8_t *rows[ROWS];
    FOR_EACH_TABLE(k)
    for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
        for (size_t n = 1; n <= ROWS; n++) {
            const size_t bytes = lengths[l];
            const unsigned need = weft_kernel_planes((uint32_t)n);
            make_rows(storage, rows, bytes, l + 1);
            memset(planes, 0xee, sizeof(planes));
            k->tally(rows, n, bytes, planes);
            for (size_t i = 0; i < 8 * bytes; i++)
                cr_assert_eq(count_at(planes, need, bytes, i), rows_at(rows, n, i),
                             "bit %zu of %zu rows", i, n);
            cr_assert_eq(planes[need * bytes], 0xee);
        }
}

Test(kernel_code, tallies_add_and_compare)
{
    enum { BYTES = 45 };
    static uint8_t storage[ROWS * (BYTES + 1)], acc[7 * BYTES], more[6 * BYTES];
    uint8_t above[BYTES], equal[BYTES];
    const uint8_t *rows[ROWS];
    make_rows(storage, rows, BYTES, 77);
    FOR_EACH_TABLE(k)
    for (size_t n = 1; n < ROWS; n++) {
        const unsigned have = weft_kernel_planes((uint32_t)n);
        const unsigned other = weft_kernel_planes((uint32_t)(ROWS - n));
        const unsigned need = weft_kernel_planes(ROWS);
        memset(acc, 0, sizeof(acc));
        k->tally(rows, n, BYTES, acc);
        k->tally(rows + n, ROWS - n, BYTES, more);
        cr_assert(have <= need && other <= need);
        k->tally_add(acc, need, more, other, BYTES);
        for (uint32_t than = 0; than < 1u << need; than += 3) {
            k->compare(acc, need, BYTES, BYTES, than, above, equal);
            for (size_t i = 0; i < 8 * BYTES; i++) {
                const unsigned count = rows_at(rows, ROWS, i);
                cr_assert_eq(count_at(acc, need, BYTES, i), count);
                cr_assert_eq(above[i / 8] >> i % 8 & 1, count > than);
                cr_assert_eq(equal[i / 8] >> i % 8 & 1, count == than);
            }
        }
    }
}

Test(kernel_code, the_hadamard_rotation_is_that_of_its_matrix)
{
    enum { ORDER_MOST = 10, LENGTH = 1 << ORDER_MOST };
    static float v[LENGTH], got[LENGTH];
    FOR_EACH_TABLE(k)
    for (unsigned m = 0; m <= ORDER_MOST; m++) {
        const size_t n = (size_t)1 << m;
        for (size_t i = 0; i < n; i++) /* whole numbers: sums are exact */
            got[i] = v[i] = (float)((int)(i * 29 % 101) - 50);
        k->hadamard(got, m);
        for (size_t r = 0; r < n; r++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++)
                sum += __builtin_parityll(r & i) ? -(double)v[i] : (double)v[i];
            cr_assert_eq(got[r], (float)sum, "order %u, row %zu", m, r);
        }
    }
}

Test(kernel_code, the_hadamard_rotation_rounds_alike_in_every_table)
{
    enum { ORDER_MOST = 12, LENGTH = 1 << ORDER_MOST };
    static float v[2][LENGTH], one[LENGTH];
    const weft_kernels *all[2];
    if (tables(all) < 2)
        cr_skip_test("one table only");
    for (unsigned m = 0; m <= ORDER_MOST; m++) {
        const size_t n = (size_t)1 << m;
        weft_rng rng = {.state = m + 1};
        for (size_t i = 0; i < n; i++)
            one[i] = v[0][i] = v[1][i] =
                (float)(weft_rng_unit(&rng) - 0.5) * (i % 9 ? 1e-3f : 1e3f);
        for (int t = 0; t < 2; t++)
            all[t]->code.hadamard(v[t], m);
        cr_assert_arr_eq(v[0], v[1], n * sizeof(one[0]));
        for (size_t h = 1; h < n; h *= 2) /* one distance after the other */
            for (size_t i = 0; i < n; i++)
                if (!(i & h)) {
                    const float a = one[i], b = one[i + h];
                    one[i] = a + b;
                    one[i + h] = a - b;
                }
        cr_assert_arr_eq(v[0], one, n * sizeof(one[0]));
    }
}

/* Bytes of everything that the loops of blocks make of n floats at an odd address. */
static size_t block_outputs(const weft_code_kernels *k, const uint8_t *odd, size_t n,
                            const uint16_t *random, uint8_t *out)
{
    const float *v = (const float *)(const void *)odd;
    double sums[2] = {0, 0};
    float ends[2] = {0, 0};
    const size_t below = k->count_below(v, n);
    uint8_t *at = out;
    k->split_sums(v, n, sums);
    if (n > 0)
        k->extremes(v, n, &ends[0], &ends[1]);
    memcpy(at, sums, sizeof(sums));
    memcpy(at += sizeof(sums), ends, sizeof(ends));
    memcpy(at += sizeof(ends), &below, sizeof(below));
    at += sizeof(below) + 1;
    k->to_bytes(v, n, -0.5f, 0x1p-120f, at);
    k->from_bytes(at, n, -0.3f, 0.001f, (float *)(void *)(at + n));
    at += n + 4 * n;
    k->to_powers(v, n, random, at);
    k->from_powers(at, (const uint8_t *)random, n, (float *)(void *)(at + n));
    at += n + 4 * n;
    k->flip(v, (const uint8_t *)random, n, 0.25f, (float *)(void *)at);
    return (size_t)(at + 4 * n - out);
}

Test(kernel_code, loops_of_blocks_have_the_same_bits_in_every_table)
{
    enum { OUT = 64 + 14 * MOST };
    static uint8_t odd[4 * MOST + 1], out[2][OUT];
    static float v[MOST];
    static uint16_t random[MOST];
    const weft_kernels *all[2];
    weft_rng rng = {.state = 4};
    if (tables(all) < 2)
        cr_skip_test("one table only");
    for (size_t i = 0; i < MOST; i++)
        random[i] = (uint16_t)weft_rng_u64(&rng);
    for (size_t c = 0; c < COUNTS; c++) {
        const size_t n = counts[c];
        floats(v, n, c + 90);
        memcpy(odd + 1, v, 4 * n);
        memset(out, 0xee, sizeof(out));
        const size_t len = block_outputs(&all[0]->code, odd + 1, n, random, out[0]);
        cr_assert_leq(len, OUT);
        block_outputs(&all[1]->code, odd + 1, n, random, out[1]);
        cr_assert_arr_eq(out[0], out[1], OUT, "%zu floats", n);
    }
}

Test(kernel_code, sums_and_ends_of_a_block_are_those_of_a_plain_loop)
{
    static float v[MOST];
    FOR_EACH_TABLE(k)
    for (size_t c = 1; c < COUNTS; c++) {
        const size_t n = counts[c];
        double part[2][16] = {{0}}, sum[2], got[2] = {0, 0};
        float least = INFINITY, most = -INFINITY, ends[2] = {0, 0};
        size_t below = 0;
        floats(v, n, c + 120);
        for (size_t i = 0; i < n; i++) {
            part[v[i] < 0][i % 16] += (double)v[i];
            below += v[i] < 0;
            least = fminf(least, v[i]);
            most = fmaxf(most, v[i]);
        }
        for (int s = 0; s < 2; s++) {
            sum[s] = part[s][0];
            for (int j = 1; j < 16; j++)
                sum[s] += part[s][j];
        }
        k->split_sums(v, n, got);
        k->extremes(v, n, &ends[0], &ends[1]);
        cr_assert(got[0] == sum[0] && got[1] == sum[1], "%zu floats", n);
        cr_assert(ends[0] == least && ends[1] == most);
        cr_assert(!(ends[0] == 0 && signbit(ends[0])) && !(ends[1] == 0 && signbit(ends[1])));
        cr_assert_eq(k->count_below(v, n), below);
    }
}

Test(kernel_code, flipped_elements_are_negated_and_zeros_have_no_sign)
{
    static float v[MOST], out[MOST];
    uint8_t signs[MOST / 8 + 1];
    weft_rng rng = {.state = 14};
    for (size_t i = 0; i < sizeof(signs); i++)
        signs[i] = (uint8_t)weft_rng_u64(&rng);
    FOR_EACH_TABLE(k)
    for (size_t c = 0; c < COUNTS; c++) {
        floats(v, counts[c], c + 7);
        k->flip(v, signs, counts[c], 0.5f, out);
        for (size_t i = 0; i < counts[c]; i++) {
            const float want = v[i] * (signs[i / 8] >> i % 8 & 1 ? -0.5f : 0.5f);
            cr_assert_eq(out[i], want);
            cr_assert(out[i] != 0 || !signbit(out[i]));
        }
    }
}
