/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing of bytes and words to fewer bits, 64 bits at a time; a part of kernel_loops.h.
 *
 * Eight bytes (four words) are squeezed in three (two) steps that each join neighbours, so that
 * numbers end side by side in the low bits; CPUs with BMI2 have an instruction for all of it, which
 * KERNEL_AVX2 chooses.
 */
#ifndef WEFT_KERNEL_PACK_LOOPS_H
#define WEFT_KERNEL_PACK_LOOPS_H

#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "kernel/kernel_quant.h"

enum {
    PACK_GROUP = 8, /* numbers that end on a byte, whatever their width */
    PACK_WORD = 8   /* bytes that are loaded and stored at a time */
};

/* Fields in the low `width` bits of each byte or word. */
static inline uint64_t byte_fields(unsigned width)
{
    return UINT64_C(0x0101010101010101) * ((1u << width) - 1);
}

static inline uint64_t word_fields(unsigned width)
{
    return UINT64_C(0x0001000100010001) * ((1u << width) - 1);
}

#ifdef KERNEL_AVX2

static inline uint64_t squeeze8(uint64_t v, unsigned width)
{
    return _pext_u64(v, byte_fields(width));
}

static inline uint64_t squeeze16(uint64_t v, unsigned width)
{
    return _pext_u64(v, word_fields(width));
}

static inline uint64_t spread8(uint64_t v, unsigned width)
{
    return _pdep_u64(v, byte_fields(width));
}

static inline uint64_t spread16(uint64_t v, unsigned width)
{
    return _pdep_u64(v, word_fields(width));
}

#else

/* Move the fields of the upper halves of parts of 2 * half bits down to those of the lower. */
static inline uint64_t join(uint64_t v, unsigned half, uint64_t low, unsigned width)
{
    return (v & low) | (v >> (half - width) & low << width);
}

static inline uint64_t part(uint64_t v, unsigned half, uint64_t low, unsigned width)
{
    const uint64_t fields = low / ((UINT64_C(1) << half) - 1) * ((UINT64_C(1) << width) - 1);
    return (v & fields) | (v << (half - width) & fields << half);
}

#define LOW8 UINT64_C(0x00ff00ff00ff00ff)
#define LOW16 UINT64_C(0x0000ffff0000ffff)
#define LOW32 UINT64_C(0x00000000ffffffff)

static inline uint64_t squeeze16(uint64_t v, unsigned width)
{
    return join(join(v, 16, LOW16, width), 32, LOW32, 2 * width);
}

static inline uint64_t squeeze8(uint64_t v, unsigned width)
{
    return squeeze16(join(v, 8, LOW8, width), 2 * width);
}

static inline uint64_t spread16(uint64_t v, unsigned width)
{
    return part(part(v, 32, LOW32, 2 * width), 16, LOW16, width);
}

static inline uint64_t spread8(uint64_t v, unsigned width)
{
    return part(spread16(v, 2 * width), 8, LOW8, width);
}

#endif

/* Eight numbers to `width` bytes; 16 bytes are written. */
static inline void pack_group16(const uint16_t *in, unsigned width, uint8_t *out)
{
    const uint64_t a = squeeze16(weft_load_little(in), width),
                   b = squeeze16(weft_load_little(in + 4), width);
    const unsigned bits = 4 * width; /* 36 … 64 */
    weft_store_little(out, bits < 64 ? a | b << bits : a);
    weft_store_little(out + 8, bits < 64 ? b >> (64 - bits) : b);
}

static inline void unpack_group16(const uint8_t *in, unsigned width, uint16_t *out)
{
    const uint64_t a = weft_load_little(in), next = weft_load_little(in + 8);
    const unsigned bits = 4 * width;
    weft_store_little(out, spread16(a, width));
    weft_store_little(out + 4, spread16(bits < 64 ? a >> bits | next << (64 - bits) : next, width));
}

/* Pairs of numbers of 4 bits: loops that compilers vectorize. Returns how many numbers. */
static inline size_t pack4(const uint8_t *in, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < count / 2; i++)
        out[i] = (uint8_t)(in[2 * i] | in[2 * i + 1] << 4);
    return count / 2 * 2;
}

static inline size_t unpack4(const uint8_t *in, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < count / 2; i++) {
        out[2 * i] = in[i] & 15;
        out[2 * i + 1] = in[i] >> 4;
    }
    return count / 2 * 2;
}

/* The largest number of 4 bits of `bytes` bytes. */
static uint8_t most4(const uint8_t *v, size_t bytes)
{
    uint8_t low = 0, high = 0;
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t a = v[i] & 15, b = v[i] >> 4;
        low = a > low ? a : low;
        high = b > high ? b : high;
    }
    return low > high ? low : high;
}

static void pack8(unsigned width, const uint8_t *in, size_t count, uint8_t *out, size_t room)
{
    if (width == 8) {
        memcpy(out, in, count);
        return;
    }
    size_t done = width == 4 ? pack4(in, count / PACK_GROUP * PACK_GROUP, out) : 0;
    out += done / PACK_GROUP * width;
    room -= done / PACK_GROUP * width;
    for (; done + PACK_GROUP <= count && room >= PACK_WORD; done += PACK_GROUP) {
        weft_store_little(out, squeeze8(weft_load_little(in + done), width));
        out += width;
        room -= width;
    }
    for (; done < count; done += PACK_GROUP) { /* near the end: by way of a buffer */
        uint8_t group[PACK_GROUP] = {0}, bytes[PACK_WORD];
        const size_t n = count - done < PACK_GROUP ? count - done : PACK_GROUP;
        memcpy(group, in + done, n);
        weft_store_little(bytes, squeeze8(weft_load_little(group), width));
        memcpy(out, bytes, (n * width + 7) / 8);
        out += width;
    }
}

static void pack16(unsigned width, const uint16_t *in, size_t count, uint8_t *out, size_t room)
{
    size_t done = 0;
    for (; done + PACK_GROUP <= count && room >= 2 * PACK_WORD; done += PACK_GROUP) {
        pack_group16(in + done, width, out);
        out += width;
        room -= width;
    }
    for (; done < count; done += PACK_GROUP) {
        uint16_t group[PACK_GROUP] = {0};
        uint8_t bytes[2 * PACK_WORD];
        const size_t n = count - done < PACK_GROUP ? count - done : PACK_GROUP;
        memcpy(group, in + done, n * sizeof(*in));
        pack_group16(group, width, bytes);
        memcpy(out, bytes, (n * width + 7) / 8);
        out += width;
    }
}

static void unpack8(unsigned width, const uint8_t *in, size_t room, size_t count, uint8_t *out)
{
    if (width == 8) {
        memcpy(out, in, count);
        return;
    }
    size_t done = width == 4 ? unpack4(in, count / PACK_GROUP * PACK_GROUP, out) : 0;
    in += done / PACK_GROUP * width;
    room -= done / PACK_GROUP * width;
    for (; done + PACK_GROUP <= count && room >= PACK_WORD; done += PACK_GROUP) {
        weft_store_little(out + done, spread8(weft_load_little(in), width));
        in += width;
        room -= width;
    }
    for (; done < count; done += PACK_GROUP) {
        uint8_t group[PACK_GROUP], bytes[PACK_WORD] = {0};
        const size_t n = count - done < PACK_GROUP ? count - done : PACK_GROUP;
        memcpy(bytes, in, (n * width + 7) / 8);
        weft_store_little(group, spread8(weft_load_little(bytes), width));
        memcpy(out + done, group, n);
        in += width;
    }
}

static void unpack16(unsigned width, const uint8_t *in, size_t room, size_t count, uint16_t *out)
{
    size_t done = 0;
    for (; done + PACK_GROUP <= count && room >= 2 * PACK_WORD; done += PACK_GROUP) {
        unpack_group16(in, width, out + done);
        in += width;
        room -= width;
    }
    for (; done < count; done += PACK_GROUP) {
        uint16_t group[PACK_GROUP];
        uint8_t bytes[2 * PACK_WORD] = {0};
        const size_t n = count - done < PACK_GROUP ? count - done : PACK_GROUP;
        memcpy(bytes, in, (n * width + 7) / 8);
        unpack_group16(bytes, width, group);
        memcpy(out + done, group, n * sizeof(*out));
        in += width;
    }
}

#endif
