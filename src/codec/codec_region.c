/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire: pairs_wire.h, of the span alone: indices count from its first element.
 */
#include "codec/codec_region.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "codec/selection.h"

enum { SHORT = 4 }; /* a quarter fewer than were found exactly: the magnitude is no good any more */

typedef struct region {
    weft_selection whole; /* of the vector that was selected from */
    weft_pairs chosen;
    bool made;
    weft_regions *kept; /* NULL: nothing is */
    bool exact, agrees; /* this operation selects exactly; has peers agree where to cut */
    bool anew;          /* it has selected exactly: what that found is to be kept */
    float least;
    double *bound;     /* size - 1, then those of this operation's exact selection */
    const double *sum; /* the request's */
} region;

static weft_pairs_coding coding_of(const weft_codec *c, const weft_stretch *s)
{
    weft_pairs_coding k = weft_selection_of_topk(c, s->lane_count).coding;
    k.most = k.most < s->count ? k.most : s->count;
    k.count = s->count;
    return k;
}

static size_t block(const weft_codec *c)
{
    (void)c;
    return 0;
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    const weft_pairs_coding k = coding_of(c, s);
    return weft_pairs_bound(&k);
}

/* From an exact selection: its least, and where it would be cut into parts of as many pairs; where
 * there are fewer pairs than parts, as it is. */
static void learn(region *r)
{
    const weft_pairs *p = &r->chosen;
    const size_t parts = (size_t)r->kept->size;
    r->anew = true;
    r->least = p->count > 0 ? FLT_MAX : 0;
    for (size_t i = 0; i < p->count; i++)
        r->least = fminf(r->least, fabsf(p->value[i]));
    for (size_t i = 1; i < parts; i++) {
        const uint64_t at = p->count >= parts ? p->index[p->count * i / parts] : r->kept->cut[i];
        r->bound[i - 1] = (double)at;
    }
}

static int choose(region *r, const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s)
{
    const weft_stretch all = {
        .lane_count = s->lane_count, .count = s->lane_count, .first = s->first};
    if (r->made)
        return WEFT_OK;
    r->whole = weft_selection_of_topk(c, s->lane_count);
    r->whole.least = r->exact ? 0 : r->kept->least;
    int code = weft_selection_select(&r->whole, draw, lane, &all, &r->chosen);
    if (code == WEFT_OK && r->whole.least > 0 &&
        r->chosen.count < r->kept->found - r->kept->found / SHORT) {
        r->whole.least = 0;
        r->chosen.count = 0;
        code = weft_selection_select(&r->whole, draw, lane, &all, &r->chosen);
    }
    r->made = code == WEFT_OK;
    if (r->made && r->kept && !(r->whole.least > 0))
        learn(r);
    return code;
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    region *r = c->extra;
    const weft_pairs_coding k = coding_of(c, s);
    weft_pairs part = {0};
    int code = choose(r, c, draw, lane, s);
    if (code != WEFT_OK)
        return code;
    const size_t from = weft_pairs_from(&r->chosen, (uint32_t)s->off);
    const size_t n = weft_pairs_from(&r->chosen, (uint32_t)(s->off + s->count)) - from;
    weft_draw own = *draw; /* by their places among all that was selected */
    own.first = from;
    code = weft_pairs_reserve(&part, n);
    for (size_t i = 0; code == WEFT_OK && i < n; i++) {
        part.index[i] = r->chosen.index[from + i] - (uint32_t)s->off;
        part.value[i] = r->chosen.value[from + i];
    }
    part.count = code == WEFT_OK ? n : 0;
    if (code == WEFT_OK)
        code = weft_pairs_write(&k, &own, &part, out, cap, ret_len);
    weft_pairs_free(&part);
    return code;
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    const weft_pairs_coding k = coding_of(c, s);
    return weft_pairs_scatter(&k, in, len, out, add);
}

static void succeeded(weft_codec *c)
{
    region *r = c->extra;
    weft_regions *kept = r->kept;
    if (!kept)
        return;
    if (r->sum)
        weft_regions_cut(kept, r->sum);
    if (r->anew) {
        kept->least = r->least;
        kept->most = r->whole.coding.most;
        kept->found = r->chosen.count;
        memcpy(kept->bound, r->bound, ((size_t)kept->size - 1) * sizeof(*kept->bound));
    }
    kept->done++;
}

static void close(weft_codec *c)
{
    region *r = c->extra;
    weft_regions_drop(r->kept);
    weft_pairs_free(&r->chosen);
    weft_free(r->bound);
}

static const weft_param none[] = {{.key = NULL}};

static const weft_codec_type type = {
    .name = "topk",
    .summary = "the largest elements, by regions; biased",
    .source = "Li & Hoefler 2022",
    .params = none,
    .block = block,
    .bound = bound,
    .encode = encode,
    .decode = decode,
    .succeeded = succeeded,
    .close = close,
};

size_t weft_codec_region_most(const weft_codec *base, size_t count)
{
    return weft_selection_of_topk(base, count).coding.most;
}

bool weft_codec_has_regions(const weft_codec *base)
{
    return base->type == &weft_codec_topk;
}

int weft_codec_region_bounds(weft_codec *c, double **ret)
{
    region *r = c->type == &type ? c->extra : NULL;
    *ret = NULL;
    if (!r || !r->agrees)
        return WEFT_OK;
    const size_t bytes = ((size_t)r->kept->size - 1) * sizeof(**ret);
    *ret = weft_alloc(bytes);
    if (!*ret)
        return weft_fail(WEFT_ENOMEM, "codec %s: out of memory", c->text);
    memcpy(*ret, r->kept->bound, bytes);
    r->sum = *ret;
    return WEFT_OK;
}

int weft_codec_region(weft_codec **ret, const weft_codec *base, weft_regions *kept, unsigned every)
{
    weft_codec *c = weft_calloc(1, sizeof(*c));
    region *r = weft_calloc(1, sizeof(*r));
    double *own = weft_calloc(kept ? (size_t)kept->size : 1, sizeof(*own));
    assert(weft_codec_has_regions(base));
    if (!c || !r || !own) {
        weft_free(c);
        weft_free(r);
        weft_free(own);
        return weft_fail(WEFT_ENOMEM, "codec %s: out of memory", base->text);
    }
    *c = *base;
    c->type = &type;
    c->extra = r;
    *r = (region){.kept = weft_regions_hold(kept),
                  .exact = !kept || weft_regions_selects(kept, every) ||
                           kept->most != weft_codec_region_most(base, (size_t)kept->count),
                  .agrees = kept && weft_regions_agrees(kept, every),
                  .bound = own};
    *ret = c;
    return WEFT_OK;
}
