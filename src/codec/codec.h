/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codecs: elements to bytes and back. A row of codecs.def and one file each.
 *
 * A lane is a stretch of the tensor whose first element lies on a block edge; a span is a part of
 * it. Blocks (buckets) count from the lane's first element, and the scale of a block is that of
 * the whole block, even where the span holds only a part of it: so decoded values do not depend on
 * how a lane is cut into spans.
 *
 * Instances of the table are immutable: any thread may use one at any time. Those that are made for
 * one operation (codec_shared.h, codec_vote.h, codec_region.h) belong to it.
 */
#ifndef WEFT_CODEC_CODEC_H
#define WEFT_CODEC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/spec.h"
#include "codec/traits.h"
#include <weft/codec.h>

/* Elements off … off+count-1 of a lane of lane_count elements, which begins at the tensor's element
 * `first`. */
typedef struct weft_stretch {
    size_t lane_count, off, count;
    uint64_t first;
    /* Encoding: what was measured of the lane's block that was measured last, so that a block of
     * many spans is measured once. All zeros at first; NULL: nothing is kept. */
    struct weft_measured *measured;
} weft_stretch;

typedef struct weft_measured {
    const void *block; /* its first element; NULL: none yet */
    float of[2];       /* what its codec makes of it */
} weft_measured;

typedef struct weft_pairs weft_pairs; /* sparse.h */

typedef struct weft_codec_type {
    const char *name, *summary, *source;
    uint32_t traits;          /* WEFT_CODEC_… */
    const weft_param *params; /* ends with key NULL */
    /* Check what the parameter table cannot say; NULL: nothing to check. */
    int (*check)(const weft_codec *c);
    /* Make and free what an instance holds besides its parameters; NULL: nothing. open comes after
     * check, close only after an open that succeeded. */
    int (*open)(weft_codec *c);
    void (*close)(weft_codec *c);
    /* Elements of a block, 0 when the whole tensor is one block. Lane edges fall on block edges. */
    size_t (*block)(const weft_codec *c);
    /* Most bytes an encoding of the stretch takes. */
    size_t (*bound)(const weft_codec *c, const weft_stretch *s);
    /* omega for vectors of count elements; NULL for biased codecs. */
    double (*omega)(const weft_codec *c, size_t count);
    /* Is this instance biased although its type has WEFT_CODEC_UNBIASED? NULL: none is. */
    bool (*biased)(const weft_codec *c);
    /* Encode lane[s->off …]. draw->first is the index of lane[0] in the tensor. cap >= bound.
     * WEFT_ENONFINITE for NaN and infinity where the codec is lossy. */
    int (*encode)(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len);
    /* Decode into out[0 … s->count-1] or, with add, combine: out = out + decoded (codecs of floats)
     * or out = out op decoded (raw). WEFT_ECODEC: malformed, out untouched; nothing is written
     * before all of the encoding was checked. */
    int (*decode)(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add);
    /* WEFT_CODEC_MERGES only. dst = a op b on encodings of the same stretch, dst may be a or b. */
    void (*merge)(const weft_codec *c, const weft_stretch *s, void *dst, const void *a,
                  const void *b);
    /* WEFT_CODEC_MERGES only. Combine an encoding with elements without encoding them first:
     * acc, the encoding, = acc op in, the elements of the stretch. */
    void (*fold)(const weft_codec *c, const weft_stretch *s, void *acc, const void *in);
    /* WEFT_CODEC_COMBINES only. out = a op b, a the first operand, of encodings of the same
     * stretch; out is neither of them and has room for bound() bytes. dropped: where what a
     * selecting codec does not keep is appended, NULL: not wanted. WEFT_ECODEC: a or b is
     * malformed; WEFT_ENONFINITE: a sum overflows; WEFT_ENOMEM; out and dropped are then as they
     * were. */
    int (*combine)(const weft_codec *c, const weft_stretch *s, const void *a, size_t a_len,
                   const void *b, size_t b_len, void *out, size_t *ret_len, weft_pairs *dropped);
    /* As combine, of n >= 1 encodings at once, in[0] the first operand, without what is dropped.
     * NULL: there is no faster way than one by one. */
    int (*combine_many)(const weft_codec *c, const weft_stretch *s, const void *const *in,
                        const size_t *len, size_t n, void *out, size_t *ret_len);
    /* An encoding that contributes nothing at all, where that is not one of zeros; NULL: it is. */
    void (*abstain)(void *out, size_t *ret_len);
    /* Does this instance combine? NULL: those of the type do, or do not. */
    bool (*combines)(const weft_codec *c);
    /* s where encodings are levels -s … s of a block's largest magnitude, so that peers can agree
     * on that (codec_shared.h), else 0; NULL: 0. */
    unsigned (*levels)(const weft_codec *c);
    /* Of an instance made for one operation: which random numbers it draws when it decodes. NULL:
     * it draws none. Before anything is decoded. */
    void (*key)(weft_codec *c, const weft_draw *draw);
    /* Of an instance made for one operation: it has succeeded. NULL: that is of no matter. */
    void (*succeeded)(weft_codec *c);
    /* WEFT_CODEC_SELECTS only. The pairs of an encoding are appended. WEFT_ECODEC, WEFT_ENOMEM. */
    int (*pairs)(const weft_codec *c, const weft_stretch *s, const void *in, size_t len,
                 weft_pairs *ret);
    /*
     * Codecs that go on where the last call for the same tensor stopped (warm start); else NULL.
     * Instances are immutable and shared, so what is carried over is the caller's: state() floats
     * for the stretch, zeros before the first call. encode_warm is encode with them: warm is only
     * read, ret_warm, which may be warm, is written on success alone; either may be NULL.
     *
     * Why an entry of its own: encode with two more arguments would burden every codec with what
     * one of them needs; state inside the codec would need a lock, an instance a tensor, and could
     * not be taken back when an operation fails after encoding. In and out apart, because a
     * collective keeps the new state only once it has succeeded, and a checkpoint is a copy.
     */
    size_t (*state)(const weft_codec *c, const weft_stretch *s);
    int (*encode_warm)(const weft_codec *c, const weft_draw *draw, const void *lane,
                       const weft_stretch *s, const float *warm, float *ret_warm, void *out,
                       size_t cap, size_t *ret_len);
} weft_codec_type;

struct weft_codec {
    const weft_codec_type *type;
    weft_spec spec;
    char text[WEFT_SPEC_TEXT]; /* the full SPEC */
    weft_dtype dtype;          /* of elements; WEFT_F32 except for raw */
    weft_op op;                /* what add, merge and fold do; WEFT_SUM except for raw */
    weft_user_op user_op;      /* of WEFT_USER */
    weft_codec *inner;         /* of a codec around another one */
    void *extra; /* what the instance has beside its SPEC: one allocation, freed with it */
};

/* Make a codec for elements of dtype under op. user_op, copied, says what WEFT_USER does; else it
 * is NULL. WEFT_ENOTSUP when the codec takes only float32 and sums. weft_codec_open() is this with
 * WEFT_F32 and WEFT_SUM. */
int weft_codec_make(weft_codec **ret, const char *spec, weft_dtype dtype, weft_op op,
                    const weft_user_op *user_op);

/* Decoding gives something else than was encoded. */
static inline bool weft_codec_lossy(const weft_codec *c)
{
    return (c->type->traits & WEFT_CODEC_LOSSLESS) == 0;
}

/* Operands must keep the order of ranks. */
static inline bool weft_codec_ordered(const weft_codec *c)
{
    return c->op == WEFT_USER && c->user_op.commutative == 0;
}

/* Row of the table by position, NULL behind the last. */
const weft_codec_type *weft_codec_type_at(int index);

/* Value of the parameter `key` of this codec: a number, or the index of the word chosen. The key
 * must be in the type's table. */
double weft_codec_number(const weft_codec *c, const char *key);
int weft_codec_choice(const weft_codec *c, const char *key);

#endif
