/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/selection.h"

#include <inttypes.h>
#include <math.h>

#include "base/status.h"
#include "codec/refuse.h"
#include "kernel/kernel.h"

size_t weft_selection_share(double density, size_t count)
{
    const double share = ceil(density * (double)count * (1.0 - 0x1p-51));
    const size_t k = share < (double)count ? (size_t)share : count;
    return k > 0 || count == 0 ? k : 1;
}

static int refuse_count(const weft_selection *x)
{
    if (x->coding.count <= UINT32_MAX)
        return WEFT_OK;
    return weft_fail(WEFT_EINVAL,
                     "codec %s: %zu elements: indices have 32 bits, 2^32 - 1 is the most",
                     x->coding.codec, x->coding.count);
}

/* Selection takes NaN and infinity first, so looking at what it took is enough. */
static int refuse_nonfinite(const char *codec, const weft_any_float *v, size_t count,
                            uint64_t first, const weft_pairs *p)
{
    if (weft_kernel_finite(p->value, p->count))
        return WEFT_OK;
    return weft_codec_nonfinite(codec, (const float *)v, count, first, INFINITY);
}

int weft_selection_select(const weft_selection *x, const weft_draw *draw, const void *lane,
                          const weft_stretch *s, weft_pairs *ret)
{
    const weft_pairs_coding *c = &x->coding;
    const weft_any_float *v = (const weft_any_float *)lane + s->off;
    int code = refuse_count(x);
    if (code == WEFT_OK)
        code = weft_sparse_select((const float *)v, s->count, c->most, x->least, ret);
    if (code == WEFT_OK)
        code = refuse_nonfinite(c->codec, v, s->count, draw->first + s->off, ret);
    return code;
}

int weft_selection_encode(const weft_selection *x, const weft_draw *draw, const void *lane,
                          const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    const weft_pairs_coding *c = &x->coding;
    weft_pairs p = {0};
    weft_draw places = *draw; /* values draw by their place in the list */
    places.first = 0;
    int code = weft_selection_select(x, draw, lane, s, &p);
    if (code == WEFT_OK)
        code = weft_pairs_write(c, &places, &p, out, cap, ret_len);
    weft_pairs_free(&p);
    return code;
}

int weft_selection_decode(const weft_selection *x, const void *in, size_t len, void *out, bool add)
{
    const int code = refuse_count(x);
    return code == WEFT_OK ? weft_pairs_scatter(&x->coding, in, len, out, add) : code;
}

int weft_selection_pairs(const weft_selection *x, const void *in, size_t len, weft_pairs *ret)
{
    const int code = refuse_count(x);
    return code == WEFT_OK ? weft_pairs_read(&x->coding, in, len, ret) : code;
}

bool weft_selection_combines(int values)
{
    return values == WEFT_VALUES_F32;
}

static int merge(const weft_selection *x, const weft_pairs *a, const weft_pairs *b, void *out,
                 size_t *ret_len, weft_pairs *dropped)
{
    const weft_pairs_coding *c = &x->coding;
    weft_pairs kept = {0};
    const size_t before = dropped ? dropped->count : 0;
    int code = weft_sparse_merge(a, b, c->most, x->least, &kept, dropped);
    if (code == WEFT_OK && !weft_kernel_finite(kept.value, kept.count)) {
        size_t i = 0;
        while (isfinite(kept.value[i]))
            i++;
        code =
            weft_fail(WEFT_ENONFINITE, "codec %s: the sum of element %" PRIu32 " overflows float32",
                      c->codec, kept.index[i]);
    }
    if (code == WEFT_OK)
        code = weft_pairs_write(c, NULL, &kept, out, weft_pairs_bound(c), ret_len);
    if (code != WEFT_OK && dropped)
        dropped->count = before;
    weft_pairs_free(&kept);
    return code;
}

int weft_selection_combine(const weft_selection *x, const void *a, size_t a_len, const void *b,
                           size_t b_len, void *out, size_t *ret_len, weft_pairs *dropped)
{
    const weft_pairs_coding *c = &x->coding;
    weft_pairs left = {0}, right = {0};
    if (!weft_selection_combines(c->values))
        return weft_fail(WEFT_ENOTSUP,
                         "codec %s: encodings are merged with values=f32 only: others would be "
                         "rounded again at every merge, and what that drops is in no residual",
                         c->codec);
    int code = refuse_count(x);
    if (code == WEFT_OK)
        code = weft_pairs_read(c, a, a_len, &left);
    if (code == WEFT_OK)
        code = weft_pairs_read(c, b, b_len, &right);
    if (code == WEFT_OK)
        code = merge(x, &left, &right, out, ret_len, dropped);
    weft_pairs_free(&left);
    weft_pairs_free(&right);
    return code;
}
