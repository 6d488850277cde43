/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/partition.h"

enum { SMALL_EDGE = 8 }; /* elements; a whole number of bytes in any packed width */

weft_span weft_part(const weft_shape *s, int index)
{
    return weft_cut(s, weft_whole(s, 0), s->size, index);
}

weft_span weft_cut(const weft_shape *s, weft_span whole, int into, int index)
{
    const size_t parts = (size_t)into, count = whole.count;
    const int wrapped = index % into;
    const size_t i = (size_t)(wrapped < 0 ? wrapped + into : wrapped);
    const size_t blocks = s->block ? count / s->block + (count % s->block != 0) : 1;
    const size_t edge = s->block && blocks >= parts ? s->block : SMALL_EDGE;
    const size_t edges = count / edge + (count % edge != 0);
    const size_t each = edges / parts, more = edges % parts;
    const size_t first = i * each + (i < more ? i : more);
    const size_t behind = first + each + (i < more);
    /* Only the last cut may lie behind the end, in the last, partial, block. */
    const size_t from = first < edges ? first * edge : count;
    const size_t to = behind < edges ? behind * edge : count;

    return (weft_span){.block = whole.block, .off = whole.off + from, .count = to - from};
}

weft_span weft_whole(const weft_shape *s, uint32_t b)
{
    return (weft_span){.block = b, .count = s->count};
}
