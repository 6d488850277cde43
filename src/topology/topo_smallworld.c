/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smallworld: a ring lattice, some of whose edges lead anywhere.
 *
 * Every rank is next to the degree/2 ranks before it and behind it. Then, for hop 1 … degree/2 and
 * every rank r in order, the edge r to r + hop gets with probability `rewire` another far end,
 * drawn among the ranks that r has no edge to (Watts & Strogatz, Nature 393, 1998). Every rank
 * keeps its degree/2 edges forward, so graphs of degree 4 and more are seldom unconnected; those
 * are drawn again from another stream.
 */
#include "base/mem.h"
#include "base/status.h"
#include "topology/dice.h"
#include "topology/topology.h"

enum { DEGREE_LEAST = 4, DEGREE_MOST = 64, DRAWS = 64, TRIES = 100 };

/* to[r half + hop - 1] is the far end of r's edge forward of that number. */
typedef struct lattice {
    int size, half;
    int *to;
} lattice;

static int *forward(const lattice *l, int r)
{
    return l->to + (size_t)r * (size_t)l->half;
}

static bool is_edge(const lattice *l, int a, int b)
{
    const int *from_a = forward(l, a), *from_b = forward(l, b);
    for (int k = 0; k < l->half; k++)
        if (from_a[k] == b || from_b[k] == a)
            return true;
    return false;
}

/* Whether r has an edge to all others. */
static bool is_full(const lattice *l, int r)
{
    int degree = 0;
    for (int other = 0; other < l->size; other++)
        degree += other != r && is_edge(l, r, other);
    return degree == l->size - 1;
}

/* A rank that r has no edge to; -1 when there is none. */
static int draw_far_end(const lattice *l, int r, weft_dice *dice)
{
    for (int draws = 1;; draws++) {
        const int other = (int)weft_dice_below(dice, (uint32_t)l->size);
        if (other != r && !is_edge(l, r, other))
            return other;
        if (draws % DRAWS == 0 && is_full(l, r)) /* seldom asked: it costs more than the draws */
            return -1;
    }
}

static void rewire(const lattice *l, double probability, weft_dice *dice)
{
    for (int r = 0; r < l->size; r++)
        for (int k = 0; k < l->half; k++)
            forward(l, r)[k] = (r + k + 1) % l->size;
    for (int k = 0; k < l->half; k++)
        for (int r = 0; r < l->size; r++) {
            const int other = weft_dice_unit(dice) < probability ? draw_far_end(l, r, dice) : -1;
            if (other >= 0)
                forward(l, r)[k] = other;
        }
}

/* One drawing into e. */
static void draw(const lattice *l, double probability, weft_dice dice, weft_edges *e)
{
    e->count = 0;
    rewire(l, probability, &dice);
    for (int r = 0; r < l->size; r++)
        for (int k = 0; k < l->half; k++)
            weft_edges_add(e, r, forward(l, r)[k]);
}

static int check_fits(const weft_topology_type *type, int degree, int size)
{
    const int most = size - 1 < DEGREE_MOST ? (size - 1) / 2 * 2 : DEGREE_MOST;
    if (degree % 2 == 0 && degree <= most)
        return WEFT_OK;
    if (most < DEGREE_LEAST)
        return weft_fail(WEFT_EINVAL,
                         "topology %s: %d peers; %d or more have a lattice of degree %d",
                         type->name, size, DEGREE_LEAST + 1, DEGREE_LEAST);
    return weft_fail(WEFT_EINVAL,
                     "topology %s: degree %d of %d peers; even degrees from %d to %d fit",
                     type->name, degree, size, DEGREE_LEAST, most);
}

static int build(const weft_topology_type *type, const weft_spec *spec, weft_edges *e)
{
    const int degree = (int)weft_topology_number(type, spec, "degree");
    const double probability = weft_topology_number(type, spec, "rewire");
    const uint64_t seed = (uint64_t)weft_topology_number(type, spec, "seed");
    int code = check_fits(type, degree, e->size);
    if (code != WEFT_OK)
        return code;
    const lattice l = {.size = e->size,
                       .half = degree / 2,
                       .to = weft_calloc((size_t)e->size * (size_t)degree / 2, sizeof(*l.to))};
    if (!l.to)
        return weft_fail(WEFT_ENOMEM, "topology %s: out of memory", type->name);
    bool connected = false;
    for (uint32_t stream = 1; code == WEFT_OK && !connected && stream <= TRIES; stream++) {
        draw(&l, probability, weft_dice_start(seed, stream), e);
        code = weft_edges_connected(e, &connected);
    }
    weft_free(l.to);
    if (code == WEFT_OK && !connected)
        code = weft_fail(WEFT_EINVAL,
                         "topology %s: %d drawings of %d peers of degree %d were unconnected; take "
                         "another seed or a larger degree",
                         type->name, TRIES, e->size, degree);
    return code;
}

static const weft_param params[] = {{.key = "degree",
                                     .value = "4",
                                     .min = DEGREE_LEAST,
                                     .max = DEGREE_MOST,
                                     .integer = 1,
                                     .help = "neighbours in the lattice, even, below P"},
                                    {.key = "rewire",
                                     .value = "0.1",
                                     .min = 0,
                                     .max = 1,
                                     .help = "probability that an edge leads anywhere"},
                                    {.key = "seed",
                                     .value = "1",
                                     .min = 0,
                                     .max = WEFT_TOPOLOGY_SEED_MOST,
                                     .integer = 1,
                                     .help = "another graph for each"},
                                    {.key = NULL}};

extern const weft_topology_type weft_topo_smallworld;
const weft_topology_type weft_topo_smallworld = {
    .name = "smallworld",
    .summary = "a ring lattice with some edges led anywhere",
    .source = "Watts & Strogatz 1998",
    .formula = "mean degree as given, diameter about log P / log degree",
    .params = params,
    .build = build,
};
