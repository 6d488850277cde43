/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/partition.h"

enum { SMALL_EDGE = 8 }; /* elements; a whole number of bytes in any packed width */

weft_span weft_part(const weft_shape *s, int index)
{
    weft_span part = weft_whole(s, 0);

    if (!s->cuts)
        return weft_cut(s, part, s->size, index);
    const int wrapped = (index % s->size + s->size) % s->size;
    part.off = (size_t)s->cuts[wrapped];
    part.count = (size_t)(s->cuts[wrapped + 1] - s->cuts[wrapped]);
    return part;
}

weft_span weft_cut(const weft_shape *s, weft_span whole, int parts, int index)
{
    const weft_cuts c = weft_cuts_of(s, whole, parts);
    const int wrapped = index % parts;

    return weft_cuts_part(&c, wrapped < 0 ? wrapped + parts : wrapped);
}

weft_cuts weft_cuts_of(const weft_shape *s, weft_span whole, int parts)
{
    const size_t into = (size_t)parts, count = whole.count;
    const size_t blocks = s->block ? count / s->block + (count % s->block != 0) : 1;
    const bool on_blocks = s->block && (blocks >= into || s->whole_blocks);
    const size_t edge = on_blocks ? s->block : SMALL_EDGE;
    const size_t edges = count / edge + (count % edge != 0);

    return (weft_cuts){.whole = whole,
                       .parts = parts,
                       .edge = edge,
                       .edges = edges,
                       .each = edges / into,
                       .more = edges % into};
}

static int put_run(weft_cut_run *runs, int used, size_t to, size_t count)
{
    if (to > (used ? (size_t)runs[used - 1].to : 0))
        runs[used++] = (weft_cut_run){.to = (int)to, .count = count};
    return used;
}

int weft_cut_runs(const weft_shape *s, int parts, weft_cut_run ret[WEFT_CUT_RUNS])
{
    const weft_cuts c = weft_cuts_of(s, weft_whole(s, 0), parts);
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

static int wrap(const weft_shape *s, int index)
{
    const int rest = index % s->size;
    return rest < 0 ? rest + s->size : rest;
}

weft_span weft_block(const weft_shape *s, int index)
{
    return weft_whole(s, (uint32_t)wrap(s, index));
}

weft_span weft_between(const weft_shape *s, int from, int to)
{
    return weft_whole(s, (uint32_t)from * (uint32_t)s->size + (uint32_t)to);
}

size_t weft_parts_count(const weft_shape *s, int index, int parts)
{
    const weft_cuts c = weft_cuts_of(s, weft_whole(s, 0), s->size);
    const int first = wrap(s, index), behind = first + parts;

    return behind <= s->size
               ? weft_cuts_run(&c, first, parts)
               : weft_cuts_run(&c, first, s->size - first) + weft_cuts_run(&c, 0, behind - s->size);
}

void weft_send_pieces(weft_plan *p, const weft_shape *s, int index, int pieces, int to)
{
    for (int i = 0; i < pieces; i++) {
        weft_plan_send(p, wrap(s, index + i), to);
        if (i + 1 < pieces)
            weft_plan_joined(p);
    }
}

void weft_recv_pieces(weft_plan *p, const weft_shape *s, weft_piece *piece, int index, int pieces,
                      int from)
{
    for (int i = 0; i < pieces; i++) {
        weft_plan_recv(p, wrap(s, index + i), from, piece(s, index + i));
        if (i + 1 < pieces)
            weft_plan_joined(p);
    }
}

void weft_meet(weft_plan *p, int slot)
{
    const bool crosses = weft_plan_crosses(p);
    const uint32_t size = (uint32_t)p->size, r = (uint32_t)p->rank;

    for (uint32_t d = 1; d < size; d *= 2) {
        const uint32_t to = (r + d) % size, from = (r + size - d) % size;
        if (d == 1 || crosses)
            weft_plan_pack(p, slot, (weft_span){.block = crosses ? to : 0});
        weft_plan_send(p, slot, (int)to);
        weft_plan_recv(p, slot + 1, (int)from, (weft_span){.block = crosses ? from * size + r : 0});
        weft_plan_fence(p);
    }
}
