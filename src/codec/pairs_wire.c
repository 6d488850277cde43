/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/pairs_wire.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "codec/rank.h"
#include "codec/refuse.h"
#include "codec/rice.h"
#include "kernel/kernel.h"
#include "kernel/kernel_half.h"

/* At any address, beside any other type. */
typedef uint32_t any_u32 __attribute__((aligned(1), may_alias));
typedef uint16_t any_u16 __attribute__((aligned(1), may_alias));

enum { FORM_PLAIN = 1, FORM_RICE = 2 };
enum { HEAD = 5, RICE_HEAD = 6, SCALE = 4, BATCH = 512 };

static int levels_of(const weft_pairs_coding *c)
{
    return c->values == WEFT_VALUES_QSGD4 ? 7 : 127;
}

static size_t value_bytes(const weft_pairs_coding *c, size_t n)
{
    switch (c->values) {
    case WEFT_VALUES_F32:
        return 4 * n;
    case WEFT_VALUES_F16:
        return 2 * n;
    case WEFT_VALUES_QSGD4:
        return n > 0 ? SCALE + (n + 1) / 2 : 0;
    default:
        return n > 0 ? SCALE + n : 0;
    }
}

size_t weft_pairs_bound(const weft_pairs_coding *c)
{
    const size_t plain = HEAD + 4 * c->most;
    const size_t rice = RICE_HEAD + weft_rice_bound(c->most, c->count);
    const size_t index = c->index == WEFT_INDEX_RICE && rice < plain ? rice : plain;
    return index + value_bytes(c, c->most);
}

/* ---- values to what is sent: code numbers in the place of the values, zeros taken out ---- */

static int round_to_half(const weft_pairs_coding *c, weft_pairs *p)
{
    any_u32 *code = (any_u32 *)p->value;
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        const uint16_t half = f16_of_float(p->value[i]);
        if ((half & HALF_MAGNITUDE) == F16_INFINITY)
            return weft_fail(WEFT_ENONFINITE, "codec %s: element %" PRIu32 " is too large for f16",
                             c->codec, p->index[i]);
        p->index[kept] = p->index[i];
        code[kept] = half;
        kept += (half & HALF_MAGNITUDE) != 0;
    }
    p->count = kept;
    return WEFT_OK;
}

static bool step_is_normal(float step)
{
    return step >= FLT_MIN;
}

/* As codec_qsgd.c says, one block of all values, norm=max. */
static int quantize(const weft_pairs_coding *c, const weft_draw *draw, weft_pairs *p, float *ret)
{
    any_u32 *code = (any_u32 *)p->value;
    const uint32_t s = (uint32_t)levels_of(c);
    const float norm = weft_kernel_maxabs(p->value, p->count);
    const float step = norm / (float)s, ratio = (float)s / norm;
    size_t kept = 0;
    if (!isfinite((float)s * step))
        return weft_fail(WEFT_ENONFINITE, "codec %s: the largest magnitude overflows in %u levels",
                         c->codec, s);
    const bool vanishes = !step_is_normal(step) || !isfinite(ratio);
    for (size_t done = 0; done < p->count && !vanishes; done += BATCH) {
        uint16_t random[BATCH];
        const size_t n = p->count - done < BATCH ? p->count - done : BATCH;
        weft_draw_u16(draw, draw->first + done, n, random);
        for (size_t i = 0; i < n; i++) {
            const float v = p->value[done + i];
            const uint32_t t = (uint32_t)(int32_t)rintf(fabsf(v) * ratio * 65536.0f);
            uint32_t level = (t + random[i]) >> 16;
            level = level < s ? level : s;
            p->index[kept] = p->index[done + i];
            code[kept] = v < 0 ? s - level : s + level;
            kept += level > 0;
        }
    }
    p->count = kept;
    *ret = norm;
    return WEFT_OK;
}

static void put_values(const weft_pairs_coding *c, const weft_pairs *p, float scale, uint8_t *out)
{
    const any_u32 *code = (const any_u32 *)p->value;
    const size_t n = p->count;
    if (c->values == WEFT_VALUES_F32) {
        if (n > 0)
            memcpy(out, p->value, 4 * n);
    } else if (c->values == WEFT_VALUES_F16) {
        any_u16 *half = (any_u16 *)(void *)out;
        for (size_t i = 0; i < n; i++)
            half[i] = (uint16_t)code[i];
    } else if (n > 0) {
        memcpy(out, &scale, SCALE);
        out += SCALE;
        if (c->values == WEFT_VALUES_QSGD8)
            for (size_t i = 0; i < n; i++)
                out[i] = (uint8_t)code[i];
        else
            for (size_t i = 0; i < n; i += 2)
                out[i / 2] = (uint8_t)(code[i] | (i + 1 < n ? code[i + 1] << 4 : 0));
    }
}

int weft_pairs_write(const weft_pairs_coding *c, const weft_draw *draw, weft_pairs *p, void *out,
                     size_t cap, size_t *ret_len)
{
    uint8_t *bytes = out;
    float scale = 0;
    int code = WEFT_OK;
    assert(p->count <= c->most && c->most <= c->count && c->count <= UINT32_MAX);
    if (c->values == WEFT_VALUES_F16)
        code = round_to_half(c, p);
    else if (c->values != WEFT_VALUES_F32)
        code = quantize(c, draw, p, &scale);
    if (code != WEFT_OK)
        return code;
    const uint32_t n = (uint32_t)p->count;
    size_t index_bytes = 0, head = HEAD;
    unsigned b = 0;
    bool rice = c->index == WEFT_INDEX_RICE && n > 0;
    if (rice) {
        b = weft_rice_choose(p->index, n, &index_bytes);
        rice = RICE_HEAD + index_bytes < HEAD + 4 * (size_t)n;
    }
    bytes[0] = rice ? FORM_RICE : FORM_PLAIN;
    memcpy(bytes + 1, &n, sizeof(n));
    if (rice) {
        head = RICE_HEAD;
        bytes[HEAD] = (uint8_t)b;
        weft_rice_write(p->index, n, b, bytes + head);
    } else {
        index_bytes = 4 * (size_t)n;
        if (n > 0)
            memcpy(bytes + head, p->index, index_bytes);
    }
    put_values(c, p, scale, bytes + head + index_bytes);
    *ret_len = head + index_bytes + value_bytes(c, n);
    assert(*ret_len <= cap);
    (void)cap;
    return WEFT_OK;
}

/* ---- reading ---- */

/* A message that has passed the checks. */
typedef struct message {
    const weft_pairs_coding *coding;
    size_t n;
    const uint8_t *index, *value;
    bool is_rice;
    weft_rice rice;
    float step; /* of a level */
} message;

static int refuse(const weft_pairs_coding *c, size_t off, const char *reason)
{
    return weft_fail(WEFT_ECODEC, "codec %s: offset %zu: %s", c->codec, off, reason);
}

static int check_plain(const weft_pairs_coding *c, const uint8_t *in, size_t n)
{
    const any_u32 *index = (const any_u32 *)(const void *)(in + HEAD);
    uint32_t wrong = 0;
    for (size_t i = 1; i < n; i++)
        wrong |= index[i] <= index[i - 1];
    for (size_t i = 1; i < n && wrong; i++)
        if (index[i] <= index[i - 1])
            return refuse(c, HEAD + 4 * i, "the indices do not ascend");
    if (n > 0 && index[n - 1] >= c->count)
        return refuse(c, HEAD + 4 * (n - 1), "an index is not below the number of elements");
    return WEFT_OK;
}

static int check_f32(const weft_pairs_coding *c, const uint8_t *in, size_t at, size_t n)
{
    const any_u32 *value = (const any_u32 *)(const void *)(in + at);
    uint32_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong |= (value[i] & INT32_MAX) - 1 >= F32_INFINITY - 1;
    for (size_t i = 0; i < n && wrong; i++)
        if ((value[i] & INT32_MAX) - 1 >= F32_INFINITY - 1)
            return refuse(c, at + 4 * i, "a value is zero or not finite");
    return WEFT_OK;
}

static int check_f16(const weft_pairs_coding *c, const uint8_t *in, size_t at, size_t n)
{
    const any_u16 *value = (const any_u16 *)(const void *)(in + at);
    for (size_t i = 0; i < n; i++) {
        const int magnitude = value[i] & HALF_MAGNITUDE;
        if (magnitude == 0 || magnitude >= F16_INFINITY)
            return refuse(c, at + 2 * i, "a value is zero or not finite");
    }
    return WEFT_OK;
}

static int level_at(const weft_pairs_coding *c, const uint8_t *packed, size_t i)
{
    const int s = levels_of(c);
    return c->values == WEFT_VALUES_QSGD8 ? packed[i] - s : (packed[i / 2] >> 4 * (i % 2) & 15) - s;
}

static int check_levels(const weft_pairs_coding *c, const uint8_t *in, size_t at, size_t n,
                        float *ret_step)
{
    const int s = levels_of(c);
    float norm;
    memcpy(&norm, in + at, SCALE);
    const float step = norm / (float)s;
    if (!isfinite(norm) || !step_is_normal(step) || !isfinite((float)s * step))
        return refuse(c, at, "the scale is not finite and positive, too small or too large");
    const uint8_t *packed = in + at + SCALE;
    for (size_t i = 0; i < n; i++) {
        const int level = level_at(c, packed, i);
        const size_t off = at + SCALE + (c->values == WEFT_VALUES_QSGD8 ? i : i / 2);
        if (level == 0)
            return refuse(c, off, "a level is zero");
        if (level > s)
            return refuse(c, off, "a level is too high");
    }
    if (c->values == WEFT_VALUES_QSGD4 && n % 2 != 0 && packed[n / 2] >> 4 != 0)
        return refuse(c, at + SCALE + n / 2, "the padding of the levels is not zero");
    *ret_step = step;
    return WEFT_OK;
}

static int check_values(const weft_pairs_coding *c, const uint8_t *in, size_t at, size_t n,
                        float *ret_step)
{
    if (c->values == WEFT_VALUES_F32)
        return check_f32(c, in, at, n);
    if (c->values == WEFT_VALUES_F16)
        return check_f16(c, in, at, n);
    return n > 0 ? check_levels(c, in, at, n, ret_step) : WEFT_OK;
}

/* All checks but one: Rice coded indices ascend, but the last one is not known yet. */
static int open_message(const weft_pairs_coding *c, const uint8_t *in, size_t len, message *ret)
{
    if (len < HEAD)
        return refuse(c, len, "cut short within the head");
    uint32_t n;
    memcpy(&n, in + 1, sizeof(n));
    message m = {.coding = c, .n = n, .is_rice = in[0] == FORM_RICE};
    if (in[0] != FORM_PLAIN && !(m.is_rice && c->index == WEFT_INDEX_RICE))
        return refuse(c, 0, "the form byte is none of index=");
    if (n > c->most)
        return refuse(c, 1, "more pairs than this codec sends for so many elements");
    const size_t head = m.is_rice ? RICE_HEAD : HEAD, values = value_bytes(c, n);
    if (len < head || len - head < values)
        return refuse(c, len, "cut short");
    const size_t index_bytes = len - head - values;
    int code = WEFT_OK;
    if (!m.is_rice) {
        if (index_bytes != 4 * (size_t)n)
            return refuse(c, len, "the length is not that of so many pairs");
        code = check_plain(c, in, n);
    } else {
        size_t off = 0;
        if (n == 0)
            return refuse(c, 1, "no pairs in the Rice form");
        const uint8_t b = in[HEAD];
        const char *reason = weft_rice_check(in + head, index_bytes, n, b, c->count, &m.rice, &off);
        if (reason)
            return refuse(c, b > WEFT_RICE_MOST ? HEAD : head + off, reason);
    }
    if (code == WEFT_OK)
        code = check_values(c, in, head + index_bytes, n, &m.step);
    if (code == WEFT_OK && len > weft_pairs_bound(c)) /* not in the shorter form */
        code = refuse(c, len, "longer than any encoding of so many elements");
    m.index = in + head;
    m.value = m.index + index_bytes;
    if (code == WEFT_OK)
        *ret = m;
    return code;
}

/* The last check. end: one more than the last of Rice coded indices. */
static int check_end(const message *m, uint64_t end)
{
    const weft_pairs_coding *c = m->coding;
    if (!m->is_rice || end <= c->count)
        return WEFT_OK;
    return refuse(c, RICE_HEAD + m->rice.len - 1, "an index is not below the number of elements");
}

/* Pairs from … from + n - 1, in order. */
static void read_pairs(message *m, size_t from, size_t n, uint32_t *index, float *value)
{
    const weft_pairs_coding *c = m->coding;
    if (m->is_rice)
        weft_rice_read(&m->rice, n, index);
    else
        memcpy(index, m->index + 4 * from, 4 * n);
    if (c->values == WEFT_VALUES_F32) {
        memcpy(value, m->value + 4 * from, 4 * n);
    } else if (c->values == WEFT_VALUES_F16) {
        const any_u16 *half = (const any_u16 *)(const void *)m->value;
        for (size_t i = 0; i < n; i++)
            value[i] = float_of_f16(half[from + i]);
    } else {
        for (size_t i = 0; i < n; i++)
            value[i] = (float)level_at(c, m->value + SCALE, from + i) * m->step;
    }
}

int weft_pairs_scatter(const weft_pairs_coding *c, const void *in, size_t len, void *out, bool add)
{
    weft_any_float *to = out;
    message m;
    int code = open_message(c, in, len, &m);
    if (code == WEFT_OK && m.is_rice)
        code = check_end(&m, weft_rice_end(&m.rice));
    if (code != WEFT_OK)
        return code;
    if (!add && c->count > 0)
        memset(out, 0, c->count * sizeof(float));
    for (size_t done = 0; done < m.n; done += BATCH) {
        uint32_t index[BATCH];
        float value[BATCH];
        const size_t n = m.n - done < BATCH ? m.n - done : BATCH;
        read_pairs(&m, done, n, index, value);
        if (add)
            for (size_t i = 0; i < n; i++)
                to[index[i]] = to[index[i]] + value[i];
        else
            for (size_t i = 0; i < n; i++)
                to[index[i]] = value[i];
    }
    return WEFT_OK;
}

int weft_pairs_read(const weft_pairs_coding *c, const void *in, size_t len, weft_pairs *ret)
{
    message m;
    int code = open_message(c, in, len, &m);
    if (code == WEFT_OK)
        code = weft_pairs_reserve(ret, ret->count + m.n);
    if (code != WEFT_OK)
        return code;
    if (m.n > 0)
        read_pairs(&m, 0, m.n, ret->index + ret->count, ret->value + ret->count);
    code = check_end(&m, weft_rice_read_end(&m.rice));
    if (code == WEFT_OK)
        ret->count += m.n;
    return code;
}
