/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/partition.h"

enum { SMALL_EDGE = 8 }; /* elements; a whole number of bytes in any packed width */

weft_span weft_part(const weft_shape *s, int index)
{
    const size_t parts = (size_t)s->size;
    const int wrapped = index % s->size;
    const size_t i = (size_t)(wrapped < 0 ? wrapped + s->size : wrapped);
    const size_t blocks = s->block ? s->count / s->block + (s->count % s->block != 0) : 1;
    const size_t edge = s->block && blocks >= parts ? s->block : SMALL_EDGE;
    const size_t edges = s->count / edge + (s->count % edge != 0);
    const size_t each = edges / parts, more = edges % parts;
    const size_t first = i * each + (i < more ? i : more);
    const size_t behind = first + each + (i < more);
    /* Only the last cut may lie behind the lane's end, in its last, partial, block. */
    const size_t from = first < edges ? first * edge : s->count;
    const size_t to = behind < edges ? behind * edge : s->count;

    return (weft_span){.off = from, .count = to - from};
}

weft_span weft_whole(const weft_shape *s, uint32_t b)
{
    return (weft_span){.block = b, .count = s->count};
}
