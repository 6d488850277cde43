/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raw: the elements as they lie in memory, little endian. Any type and operation.
 *
 * Wire: count elements of the type, nothing else.
 * omega = 0: what is decoded is what was encoded. Encodings merge exactly, element by element.
 */
#include <string.h>

#include "base/bytes.h" /* refuses machines whose elements are no little endian */
#include "base/status.h"
#include "codec/codec.h"
#include "kernel/kernel.h"

static int check(const weft_codec *c)
{
    if (c->op == WEFT_USER || weft_kernel_reduce(c->dtype, c->op))
        return WEFT_OK;
    return weft_fail(WEFT_ENOTSUP, "codec raw: %s of %s: takes %s", weft_op_name(c->op),
                     weft_dtype_name(c->dtype), c->op == WEFT_MEAN ? "floating types" : "integers");
}

static void reduce(const weft_codec *c, void *dst, const void *a, const void *b, size_t count)
{
    if (c->op != WEFT_USER)
        weft_kernel_reduce(c->dtype, c->op)(dst, a, b, count);
    else if (count > 0) /* spans may be empty: no case that users need to think of */
        c->user_op.reduce(c->user_op.user, dst, a, b, count, c->dtype);
}

static size_t block(const weft_codec *c)
{
    (void)c;
    return 1;
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    return s->count * weft_dtype_bytes(c->dtype);
}

static double omega(const weft_codec *c, size_t count)
{
    (void)c;
    (void)count;
    return 0.0;
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    (void)draw;
    (void)cap;
    size_t len = bound(c, s);
    if (len > 0) /* NULL may stand for no elements */
        memcpy(out, (const char *)lane + s->off * weft_dtype_bytes(c->dtype), len);
    *ret_len = len;
    return WEFT_OK;
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    if (len != bound(c, s))
        return weft_fail(WEFT_ECODEC, "codec raw: offset %zu: %zu elements of %s take %zu bytes",
                         len, s->count, weft_dtype_name(c->dtype), bound(c, s));
    if (add)
        reduce(c, out, out, in, s->count);
    else if (len > 0)
        memcpy(out, in, len);
    return WEFT_OK;
}

static void merge(const weft_codec *c, const weft_stretch *s, void *dst, const void *a,
                  const void *b)
{
    reduce(c, dst, a, b, s->count);
}

static void fold(const weft_codec *c, const weft_stretch *s, void *acc, const void *in)
{
    reduce(c, acc, acc, in, s->count);
}

static const weft_param params[] = {{.key = NULL}};

extern const weft_codec_type weft_codec_raw;
const weft_codec_type weft_codec_raw = {
    .name = "raw",
    .summary = "the elements as they are, of any type, for any operation",
    .source = "",
    .traits = WEFT_CODEC_LOSSLESS | WEFT_CODEC_UNBIASED | WEFT_CODEC_MERGES,
    .params = params,
    .check = check,
    .block = block,
    .bound = bound,
    .omega = omega,
    .encode = encode,
    .decode = decode,
    .merge = merge,
    .fold = fold,
};
