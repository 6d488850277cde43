/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/regions.h"

#include <math.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"

enum { EDGE = 8 }; /* cuts lie on multiples of so many elements, as they do elsewhere */

int weft_regions_open(weft_regions **ret)
{
    weft_regions *r = weft_calloc(1, sizeof(*r));
    if (!r)
        return weft_fail(WEFT_ENOMEM, "out of memory for regions");
    atomic_init(&r->refs, 1);
    *ret = r;
    return WEFT_OK;
}

static void clear(weft_regions *r)
{
    weft_free(r->cut);
    weft_free(r->bound);
    r->cut = NULL;
    r->bound = NULL;
    r->count = 0;
    r->size = 0;
    r->done = 0;
    r->least = 0;
    r->most = 0;
    r->found = 0;
}

static int must_be_idle(weft_regions *r)
{
    return atomic_load(&r->refs) == 1
               ? WEFT_OK
               : weft_fail(WEFT_EINVAL,
                           "regions: an operation, whose request is not freed, has them");
}

int weft_regions_reset(weft_regions *regions)
{
    const int code = must_be_idle(regions);
    if (code == WEFT_OK)
        clear(regions);
    return code;
}

weft_regions *weft_regions_hold(weft_regions *r)
{
    if (r)
        atomic_fetch_add(&r->refs, 1);
    return r;
}

void weft_regions_drop(weft_regions *r)
{
    if (r && atomic_fetch_sub(&r->refs, 1) == 1) {
        clear(r);
        weft_free(r);
    }
}

void weft_regions_close(weft_regions **regions)
{
    if (!regions)
        return;
    weft_regions_drop(*regions);
    *regions = NULL;
}

int weft_regions_fit(weft_regions *r, uint64_t count, int size)
{
    const int code = must_be_idle(r);
    if (code != WEFT_OK)
        return code;
    if (r->size == size && r->count == count)
        return WEFT_OK;
    clear(r);
    r->cut = weft_calloc((size_t)size + 1, sizeof(*r->cut));
    r->bound = weft_calloc((size_t)size, sizeof(*r->bound));
    if (!r->cut || !r->bound) {
        clear(r);
        return weft_fail(WEFT_ENOMEM, "out of memory for %d regions", size);
    }
    r->count = count;
    r->size = size;
    for (int i = 1; i < size; i++)
        r->cut[i] = count / (unsigned)size * (unsigned)i / EDGE * EDGE;
    r->cut[size] = count;
    return WEFT_OK;
}

bool weft_regions_selects(const weft_regions *r, unsigned every)
{
    return r->done % every == 0;
}

bool weft_regions_agrees(const weft_regions *r, unsigned every)
{
    return r->size > 1 && r->done > 0 && (r->done - 1) % every == 0;
}

uint64_t weft_regions_digest(const weft_regions *r)
{
    const uint64_t both[2] = {weft_hash64(r->cut, ((size_t)r->size + 1) * sizeof(*r->cut)),
                              r->done};
    return weft_hash64(both, sizeof(both));
}

void weft_regions_cut(weft_regions *r, const double *sum)
{
    const double most = (double)r->count;
    double before = 0;
    for (int i = 1; i < r->size; i++) {
        const double mean = sum[i - 1] / r->size;
        before = fmin(fmax(mean, before), most); /* of NaN the other one */
        r->cut[i] = (uint64_t)before / EDGE * EDGE;
    }
}
