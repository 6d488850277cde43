/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/partition.h"

enum { SMALL_EDGE = 8 }; /* elements; a whole number of bytes in any packed width */

weft_span weft_part(const weft_shape *s, int index)
{
    return weft_cut(s, weft_whole(s, 0), s->size, index);
}

/* How parts are made of edges: the first `more` have one more than `each`. */
typedef struct cuts {
    size_t edge, edges, each, more; /* edge: elements between two */
} cuts;

static cuts cut(const weft_shape *s, size_t count, size_t parts)
{
    const size_t blocks = s->block ? count / s->block + (count % s->block != 0) : 1;
    const size_t edge = s->block && blocks >= parts ? s->block : SMALL_EDGE;
    const size_t edges = count / edge + (count % edge != 0);

    return (cuts){.edge = edge, .edges = edges, .each = edges / parts, .more = edges % parts};
}

weft_span weft_cut(const weft_shape *s, weft_span whole, int into, int index)
{
    const size_t parts = (size_t)into, count = whole.count;
    const int wrapped = index % into;
    const size_t i = (size_t)(wrapped < 0 ? wrapped + into : wrapped);
    const cuts c = cut(s, count, parts);
    const size_t first = i * c.each + (i < c.more ? i : c.more);
    const size_t behind = first + c.each + (i < c.more);
    /* Only the last cut may lie behind the end, in the last, partial, block. */
    const size_t from = first < c.edges ? first * c.edge : count;
    const size_t to = behind < c.edges ? behind * c.edge : count;

    return (weft_span){.block = whole.block, .off = whole.off + from, .count = to - from};
}

static int put_run(weft_run *runs, int used, size_t to, size_t count)
{
    if (to > (used ? (size_t)runs[used - 1].to : 0))
        runs[used++] = (weft_run){.to = (int)to, .count = count};
    return used;
}

int weft_cut_runs(const weft_shape *s, int parts, weft_run ret[WEFT_RUNS])
{
    const cuts c = cut(s, s->count, (size_t)parts);
    const size_t filled = c.each ? (size_t)parts : c.more; /* parts that have an edge */
    const size_t missing = c.edges * c.edge - s->count;    /* of the last of them */
    const size_t last = filled ? filled - 1 : 0, more = c.more < last ? c.more : last;
    const size_t longest = (c.each + (last < c.more)) * c.edge; /* the last if it were whole */
    int used = put_run(ret, 0, more, (c.each + 1) * c.edge);

    used = put_run(ret, used, last, c.each * c.edge);
    used = put_run(ret, used, filled, longest - missing);
    return put_run(ret, used, (size_t)parts, 0);
}

weft_span weft_whole(const weft_shape *s, uint32_t b)
{
    return (weft_span){.block = b, .count = s->count};
}
