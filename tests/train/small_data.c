/* SPDX-License-Identifier: Apache-2.0 */
#include "small_data.h"

#include <stdlib.h>

#include "train_random.h"

/* The next number in [0, 1) of a stream. */
static double unit(uint64_t seed, uint32_t *at)
{
    return (double)(weft_train_u64(seed, 1, 0, (*at)++) >> 11) * 0x1p-53;
}

static weft_libsvm *reserve(size_t rows, size_t dim)
{
    weft_libsvm *d = calloc(1, sizeof(*d));

    if (d == NULL)
        abort();
    d->rows = rows;
    d->dim = dim;
    d->start = calloc(rows + 1, sizeof(*d->start));
    d->index = calloc(rows * dim, sizeof(*d->index));
    d->value = calloc(rows * dim, sizeof(*d->value));
    d->label = calloc(rows, sizeof(*d->label));
    d->sign = calloc(rows, sizeof(*d->sign));
    d->classes[0] = -1;
    d->classes[1] = 1;
    if (d->start == NULL || d->index == NULL || d->value == NULL || d->label == NULL ||
        d->sign == NULL)
        abort();
    return d;
}

weft_libsvm *small_data(size_t rows, size_t dim, double density, uint64_t seed)
{
    weft_libsvm *d = reserve(rows, dim);
    uint32_t at = 0;

    for (size_t i = 0; i < rows; i++) {
        double plane = 0;

        for (size_t j = 0; j < dim; j++) {
            if (unit(seed, &at) >= density)
                continue;
            d->index[d->nonzeros] = (uint32_t)j;
            d->value[d->nonzeros] = 2 * unit(seed, &at) - 1;
            plane += d->value[d->nonzeros] * (j % 2 == 0 ? 1 : -0.5);
            d->nonzeros++;
        }
        d->start[i + 1] = d->nonzeros;
        d->sign[i] = (plane > 0) != (unit(seed, &at) < 0.125) ? 1 : -1;
        d->label[i] = d->sign[i];
    }
    return d;
}

weft_libsvm *one_column(size_t rows, size_t positive)
{
    weft_libsvm *d = reserve(rows, 1);

    for (size_t i = 0; i < rows; i++) {
        d->value[i] = 1;
        d->start[i + 1] = i + 1;
        d->sign[i] = i < positive ? 1 : -1;
        d->label[i] = d->sign[i];
    }
    d->nonzeros = rows;
    return d;
}
