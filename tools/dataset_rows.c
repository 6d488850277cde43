/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on single rows of a data set. */
#include <string.h>

#include "dataset.h"

#define WHITE 255.0 /* the brightest pixel, which becomes 1 */

void weft_dataset_floats(const weft_dataset *data, size_t row, size_t dim, float *ret)
{
    const weft_libsvm *s = data->sparse;

    if (s == NULL) {
        const unsigned char *pixels = data->images->bytes + row * data->dim;

        for (size_t j = 0; j < dim; j++)
            ret[j] = (float)pixels[j] / (float)WHITE;
        return;
    }
    memset(ret, 0, dim * sizeof(*ret));
    for (size_t k = s->start[row]; k < s->start[row + 1] && s->index[k] < dim; k++)
        ret[s->index[k]] = (float)s->value[k];
}

/* to[c] += a from[c]. */
static void add_scaled(double a, const double *from, size_t columns, double *to)
{
    for (size_t c = 0; c < columns; c++)
        to[c] += a * from[c];
}

void weft_dataset_times(const weft_dataset *data, size_t row, const double *w, size_t dim,
                        size_t columns, double *ret)
{
    const weft_libsvm *s = data->sparse;

    memset(ret, 0, columns * sizeof(*ret));
    if (s == NULL) {
        const unsigned char *pixels = data->images->bytes + row * data->dim;

        for (size_t j = 0; j < dim; j++) {
            if (pixels[j] != 0)
                add_scaled(pixels[j] / WHITE, w + j * columns, columns, ret);
        }
        return;
    }
    for (size_t k = s->start[row]; k < s->start[row + 1] && s->index[k] < dim; k++)
        add_scaled(s->value[k], w + s->index[k] * columns, columns, ret);
}

void weft_dataset_add(const weft_dataset *data, size_t row, const double *add, size_t columns,
                      double *w)
{
    const weft_libsvm *s = data->sparse;

    if (s == NULL) {
        const unsigned char *pixels = data->images->bytes + row * data->dim;

        for (size_t j = 0; j < data->dim; j++) {
            if (pixels[j] != 0)
                add_scaled(pixels[j] / WHITE, add, columns, w + j * columns);
        }
        return;
    }
    for (size_t k = s->start[row]; k < s->start[row + 1]; k++)
        add_scaled(s->value[k], add, columns, w + s->index[k] * columns);
}

double weft_dataset_square(const weft_dataset *data, size_t row)
{
    const weft_libsvm *s = data->sparse;
    double square = 0;

    if (s == NULL) {
        const unsigned char *pixels = data->images->bytes + row * data->dim;

        for (size_t j = 0; j < data->dim; j++)
            square += (pixels[j] / WHITE) * (pixels[j] / WHITE);
        return square;
    }
    for (size_t k = s->start[row]; k < s->start[row + 1]; k++)
        square += s->value[k] * s->value[k];
    return square;
}
