/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What topk and threshold share: both send some of the largest elements, as pairs (pairs_wire.h).
 *
 * The vector is one stretch: off and count say what is encoded, indices count from off.
 */
#ifndef WEFT_CODEC_SELECTION_H
#define WEFT_CODEC_SELECTION_H

#include "codec/codec.h"
#include "codec/pairs_wire.h"

typedef struct weft_selection {
    weft_pairs_coding coding; /* coding.most: pairs that are kept at most */
    float least;              /* magnitude of those kept at least, 0: no matter */
} weft_selection;

/* ceil(density * count), but at least 1 of any and at most count. What rounding adds to the
 * product, up to 2^-51 of it, is forgiven: 0.07 of 100 is 7. */
size_t weft_selection_share(double density, size_t count);

/* What a topk codec selects of count elements. */
weft_selection weft_selection_of_topk(const weft_codec *c, size_t count);
/* The pairs of the stretch, appended: what encode() writes. */
int weft_selection_select(const weft_selection *x, const weft_draw *draw, const void *lane,
                          const weft_stretch *s, weft_pairs *ret);
int weft_selection_encode(const weft_selection *x, const weft_draw *draw, const void *lane,
                          const weft_stretch *s, void *out, size_t cap, size_t *ret_len);
int weft_selection_decode(const weft_selection *x, const void *in, size_t len, void *out, bool add);
/* Append what is sent. */
int weft_selection_pairs(const weft_selection *x, const void *in, size_t len, weft_pairs *ret);
/* With values=f32 only: others would be rounded at every merge again, and what that drops would be
 * in no residual. */
bool weft_selection_combines(int values);
/* WEFT_ENOTSUP where it does not combine. */
int weft_selection_combine(const weft_selection *x, const void *a, size_t a_len, const void *b,
                           size_t b_len, void *out, size_t *ret_len, weft_pairs *dropped);

/* The codecs of this kind, and members of their types. */
extern const weft_codec_type weft_codec_topk, weft_codec_threshold;
weft_selection weft_selection_of_threshold(const weft_codec *c, size_t count);
size_t weft_selection_codec_block(const weft_codec *c);
size_t weft_selection_codec_bound(const weft_codec *c, const weft_stretch *s);
int weft_selection_codec_encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                                const weft_stretch *s, void *out, size_t cap, size_t *ret_len);
int weft_selection_codec_decode(const weft_codec *c, const weft_stretch *s, const void *in,
                                size_t len, void *out, bool add);
int weft_selection_codec_combine(const weft_codec *c, const weft_stretch *s, const void *a,
                                 size_t a_len, const void *b, size_t b_len, void *out,
                                 size_t *ret_len, weft_pairs *dropped);
bool weft_selection_codec_combines(const weft_codec *c);
int weft_selection_codec_pairs(const weft_codec *c, const weft_stretch *s, const void *in,
                               size_t len, weft_pairs *ret);

#endif
