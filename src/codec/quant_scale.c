/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks and their scales: measured, rounded up, sent, and what they mean for the variance. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "codec/quant.h"
#include "codec/refuse.h"
#include "kernel/kernel.h"

enum { FRACTION_BITS = 23, LOW_HALF = 0xffff };
static const uint32_t fraction = (1u << FRACTION_BITS) - 1;

static uint32_t bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

/* Up, so that no element is larger than its scale: it would be clipped, a bias. */
static float rounded_up(int scale, float norm)
{
    if (scale == WEFT_SCALE_BF16)
        return float_of((bits_of(norm) + LOW_HALF) & ~(uint32_t)LOW_HALF);
    if (scale == WEFT_SCALE_POW2)
        return float_of((bits_of(norm) + fraction) & ~fraction);
    return norm;
}

bool weft_quant_is_finite(unsigned levels, float norm, unsigned times)
{
    return isfinite((float)times * (norm / (float)levels));
}

/* Not where a step would be subnormal (flushed to zero by some) or its inverse infinite. */
float weft_quant_usable(unsigned levels, float norm)
{
    const float s = (float)levels;
    return norm / s >= FLT_MIN && isfinite(s / norm) ? norm : 0.0f;
}

/* clip times the population's standard deviation about its mean. A block whose elements are all
 * equal has none, and is not clipped. */
static float clip_bound(const weft_quant *q, const float *v, size_t count)
{
    const double n = (double)count, mean = weft_kernel_sum(v, count) / n;
    const double deviation = sqrt(weft_kernel_sumdev(v, count, mean) / n);
    return deviation > 0 ? (float)(q->clip * deviation) : FLT_MAX;
}

/* The norm in binary64; not finite where an element is not. */
static double size_of(int norm, const float *v, size_t count)
{
    if (norm == WEFT_NORM_1)
        return weft_kernel_sumabs(v, count);
    if (norm == WEFT_NORM_2)
        return sqrt(weft_kernel_sumsq(v, count));
    return (double)weft_kernel_maxabs(v, count);
}

int weft_quant_measure(const weft_quant *q, const float *v, size_t count, uint64_t index,
                       float *ret_norm, float *ret_most)
{
    const double size = size_of(q->norm, v, count);
    float most = FLT_MAX;
    if (!isfinite(size)) /* sums of floats that are finite do not overflow */
        return weft_codec_nonfinite(q->name, v, count, index, INFINITY);
    if (q->clip > 0)
        most = clip_bound(q, v, count);
    float norm = (float)size;
    norm = rounded_up(q->scale, norm < most ? norm : most);
    if (!isfinite(norm) || !weft_quant_is_finite(q->levels, norm, q->levels))
        return weft_fail(WEFT_ENONFINITE,
                         "codec %s: the norm of the block of elements %" PRIu64 " to %" PRIu64
                         " overflows float32",
                         q->name, index, index + count - 1);
    *ret_norm = norm;
    *ret_most = most;
    return WEFT_OK;
}

int weft_quantizer_measure(const weft_quantizer *z, size_t block, float *ret_norm, float *ret_most)
{
    const size_t from = block * z->b.size, n = weft_bucket_count(&z->b, z->s, block - z->b.first);
    const float *v = (const float *)(z->lane + from);
    float is[2] = {0, 0};
    if (!weft_block_known(z->s, v, is)) {
        const int code = weft_quant_measure(z->q, v, n, z->draw->first + from, &is[0], &is[1]);
        if (code != WEFT_OK)
            return code;
        weft_block_keep(z->s, v, is[0], is[1]);
    }
    *ret_norm = weft_quant_usable(z->q->levels, is[0]);
    *ret_most = is[1];
    return WEFT_OK;
}

size_t weft_quant_scale_bytes(const weft_quant *q)
{
    return q->scale == WEFT_SCALE_F32 ? 4 : q->scale == WEFT_SCALE_BF16 ? 2 : 1;
}

void weft_quant_put_scale(const weft_quant *q, uint8_t *scales, size_t i, float norm)
{
    const size_t bytes = weft_quant_scale_bytes(q);
    uint32_t bits = bits_of(norm);
    if (q->scale == WEFT_SCALE_BF16)
        bits >>= 16;
    else if (q->scale == WEFT_SCALE_POW2)
        bits >>= FRACTION_BITS;
    for (size_t k = 0; k < bytes; k++)
        scales[i * bytes + k] = (uint8_t)(bits >> (8 * k));
}

float weft_quant_scale(const weft_quant *q, const uint8_t *scales, size_t i)
{
    const size_t bytes = weft_quant_scale_bytes(q);
    uint32_t bits = 0;
    for (size_t k = 0; k < bytes; k++)
        bits |= (uint32_t)scales[i * bytes + k] << (8 * k);
    if (q->scale == WEFT_SCALE_BF16)
        bits <<= 16;
    else if (q->scale == WEFT_SCALE_POW2)
        bits <<= FRACTION_BITS;
    return float_of(bits);
}

/* By how much rounding up can enlarge a scale. */
static double growth(int scale)
{
    return scale == WEFT_SCALE_POW2 ? 2.0 : scale == WEFT_SCALE_BF16 ? 1.0 + 0x1p-7 : 1.0;
}

/* With a_j = |v_j| s/N, f_j their fractions: the variance is the sum of f(1-f), and omega is what
 * bounds it by omega times the sum of a^2. The largest a is m >= s/growth; each other one adds at
 * most max(a - a^2 - omega a^2) = 1/(4(1+omega)), the largest at most g - omega m^2 with g the
 * largest f(1-f) that m can have. So (B-1)/(4(1+omega)) + g <= omega (s/growth)^2, a quadratic
 * equation for omega. Without growth g is 0 and the bound is attained. */
static double omega_of_max(double s, double block, double grown)
{
    const double m = s / grown, off = s - m, g = off < 0.5 ? off * (1.0 - off) : 0.25;
    const double square = 4.0 * m * m, linear = square - 4.0 * g;
    const double constant = block - 1.0 + 4.0 * g;
    return (sqrt(linear * linear + 4.0 * square * constant) - linear) / (2.0 * square);
}

double weft_quant_omega(const weft_quant *q, double block)
{
    const double s = q->levels, grown = growth(q->scale);
    switch (q->norm) {
    case WEFT_NORM_MAX:
        return omega_of_max(s, block, grown);
    case WEFT_NORM_2:
        if (s < 2.0)
            return grown * sqrt(block) - 1.0;
        return fmin(grown * grown * block / (s * s), grown * sqrt(block) / s);
    default:
        if (s < 2.0)
            return grown * block - 1.0;
        return fmin(grown * block / s, grown * grown * block * block / (4.0 * s * s));
    }
}
