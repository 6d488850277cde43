/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/refuse.h"

#include <inttypes.h>
#include <math.h>

#include "base/status.h"

int weft_codec_refuse(const weft_codec *c, size_t off, const char *reason)
{
    return weft_fail(WEFT_ECODEC, "codec %s: offset %zu: %s", c->type->name, off, reason);
}

int weft_codec_refuse_length(const weft_codec *c, size_t len, size_t count, size_t want)
{
    return weft_fail(WEFT_ECODEC, "codec %s: offset %zu: %zu elements take %zu bytes",
                     c->type->name, len, count, want);
}

int weft_codec_nonfinite(const char *codec, const float *v, size_t count, uint64_t first,
                         float least)
{
    const weft_any_float *x = v;
    size_t i = 0;
    while (i + 1 < count && fabsf(x[i]) < least)
        i++;
    if (isfinite(x[i]))
        return weft_fail(WEFT_ENONFINITE, "codec %s: element %" PRIu64 " is %g: too large", codec,
                         first + i, (double)x[i]);
    return weft_fail(WEFT_ENONFINITE, "codec %s: element %" PRIu64 " is %s", codec, first + i,
                     isnan(x[i]) ? "NaN" : "infinite");
}

bool weft_bits_padded(const uint8_t *bits, size_t count)
{
    return count % 8 != 0 && bits[count / 8] >> count % 8 != 0;
}
