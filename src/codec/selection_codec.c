/* SPDX-License-Identifier: Apache-2.0 */
/* Members of the types topk and threshold: what an instance selects, by its parameters. */
#include "codec/selection.h"

static weft_selection selection_of(const weft_codec *c, size_t count)
{
    return c->type == &weft_codec_topk ? weft_selection_of_topk(c, count)
                                       : weft_selection_of_threshold(c, count);
}

size_t weft_selection_codec_block(const weft_codec *c)
{
    (void)c;
    return 0;
}

size_t weft_selection_codec_bound(const weft_codec *c, const weft_stretch *s)
{
    const weft_selection x = selection_of(c, s->count);
    return weft_pairs_bound(&x.coding);
}

int weft_selection_codec_encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                                const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const weft_selection x = selection_of(c, s->count);
    return weft_selection_encode(&x, draw, lane, s, out, cap, ret_len);
}

int weft_selection_codec_decode(const weft_codec *c, const weft_stretch *s, const void *in,
                                size_t len, void *out, bool add)
{
    const weft_selection x = selection_of(c, s->count);
    return weft_selection_decode(&x, in, len, out, add);
}

int weft_selection_codec_combine(const weft_codec *c, const weft_stretch *s, const void *a,
                                 size_t a_len, const void *b, size_t b_len, void *out,
                                 size_t *ret_len, weft_pairs *dropped)
{
    const weft_selection x = selection_of(c, s->count);
    return weft_selection_combine(&x, a, a_len, b, b_len, out, ret_len, dropped);
}

bool weft_selection_codec_combines(const weft_codec *c)
{
    return weft_selection_combines(selection_of(c, 0).coding.values);
}

int weft_selection_codec_pairs(const weft_codec *c, const weft_stretch *s, const void *in,
                               size_t len, weft_pairs *ret)
{
    const weft_selection x = selection_of(c, s->count);
    return weft_selection_pairs(&x, in, len, ret);
}
