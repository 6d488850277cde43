/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regular: a random graph in which every rank has `degree` neighbours.
 *
 * Degree 2: a random cycle, the only connected kind. More: the circulant graph of that degree, then
 * ten exchanges per edge: two edges a-b and c-d drawn at random become a-c and b-d, where these are
 * no loops and not there yet. That keeps degrees and, run for ever, is uniform on simple graphs
 * (Cooper, Dyer & Greenhill 2007). While the graph is not connected, which is rare, another round
 * follows.
 */
#include "base/mem.h"
#include "base/status.h"
#include "topology/dice.h"
#include "topology/topology.h"

enum { DEGREE_MOST = 64, EXCHANGES = 10, ROUNDS = 100 };

/* Row r, degree wide, holds r's neighbours in no order. */
typedef struct near_table {
    int degree;
    int *rows;
} near_table;

static int *find(const near_table *n, int a, int b)
{
    int *row = n->rows + (size_t)a * (size_t)n->degree;
    for (int k = 0; k < n->degree; k++)
        if (row[k] == b)
            return &row[k];
    return NULL;
}

static int check_fits(const weft_topology_type *type, int degree, int size)
{
    if (degree < size && (degree > 1 || size == 2) && (degree % 2 == 0 || size % 2 == 0))
        return WEFT_OK;
    if (size < 3)
        return weft_fail(WEFT_EINVAL, "topology %s: degree %d of %d peers; %s", type->name, degree,
                         size, size == 2 ? "degree 1 fits" : "there are none for a single peer");
    return weft_fail(WEFT_EINVAL,
                     "topology %s: no connected graph of %d peers has degree %d everywhere; %s "
                     "degrees from 2 to %d do",
                     type->name, size, degree, size % 2 ? "even" : "all", size - 1);
}

/* A cycle through all ranks in random order (Fisher & Yates). */
static int build_cycle(weft_edges *e, weft_dice *dice)
{
    int *order = weft_calloc((size_t)e->size, sizeof(*order));
    if (!order)
        return weft_fail(WEFT_ENOMEM, "cycle of %d peers: out of memory", e->size);
    for (int i = 0; i < e->size; i++) {
        const int k = (int)weft_dice_below(dice, (uint32_t)i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (int i = 0; i < e->size; i++)
        weft_edges_add(e, order[i], order[(i + 1) % e->size]);
    weft_free(order);
    return WEFT_OK;
}

/* r next to r + 1 … degree/2, and to the one opposite when degree is odd, both ways. */
static void list_circulant(weft_edges *e, int degree)
{
    for (int r = 0; r < e->size; r++) {
        for (int hop = 1; hop <= degree / 2; hop++)
            weft_edges_add(e, r, (r + hop) % e->size);
        if (degree % 2 && r < e->size / 2)
            weft_edges_add(e, r, r + e->size / 2);
    }
}

static void exchange(const weft_edges *e, const near_table *n, weft_dice *dice)
{
    int *first = e->pair[weft_dice_below(dice, (uint32_t)e->count)];
    int *second = e->pair[weft_dice_below(dice, (uint32_t)e->count)];
    const uint32_t flip = weft_dice_below(dice, 2);
    const int a = first[0], b = first[1], c = second[flip], d = second[1 - flip];
    if (first == second || a == c || b == d || find(n, a, c) || find(n, b, d))
        return;
    *find(n, a, b) = c;
    *find(n, b, a) = d;
    *find(n, c, d) = a;
    *find(n, d, c) = b;
    first[1] = c;
    second[0] = b;
    second[1] = d;
}

/* n->rows from the list. */
static int fill_rows(const weft_edges *e, const near_table *n)
{
    int *filled = weft_calloc((size_t)e->size, sizeof(*filled));
    if (!filled)
        return weft_fail(WEFT_ENOMEM, "topology regular: out of memory");
    for (size_t i = 0; i < e->count; i++)
        for (int k = 0; k < 2; k++) {
            const int r = e->pair[i][k];
            n->rows[(size_t)r * (size_t)n->degree + (size_t)filled[r]++] = e->pair[i][1 - k];
        }
    weft_free(filled);
    return WEFT_OK;
}

static int shuffle(const weft_edges *e, int degree, weft_dice *dice)
{
    const near_table n = {.degree = degree,
                          .rows = weft_calloc((size_t)e->size * (size_t)degree, sizeof(*n.rows))};
    bool connected = false;
    int code =
        n.rows ? fill_rows(e, &n) : weft_fail(WEFT_ENOMEM, "topology regular: out of memory");
    for (int round = 0; code == WEFT_OK && !connected && round < ROUNDS; round++) {
        for (size_t i = 0; i < EXCHANGES * e->count; i++)
            exchange(e, &n, dice);
        code = weft_edges_connected(e, &connected);
    }
    weft_free(n.rows);
    if (code == WEFT_OK && !connected)
        code = weft_fail(WEFT_EINVAL,
                         "topology regular: %d drawings of %d peers of degree %d were unconnected; "
                         "take another seed",
                         ROUNDS, e->size, degree);
    return code;
}

static int build(const weft_topology_type *type, const weft_spec *spec, weft_edges *e)
{
    const int degree = (int)weft_topology_number(type, spec, "degree");
    weft_dice dice = weft_dice_start((uint64_t)weft_topology_number(type, spec, "seed"), 0);
    const int code = check_fits(type, degree, e->size);
    if (code != WEFT_OK)
        return code;
    if (degree == 2)
        return build_cycle(e, &dice);
    list_circulant(e, degree);
    return e->failed ? e->failed : shuffle(e, degree, &dice);
}

static const weft_param params[] = {
    {.key = "degree",
     .value = "4",
     .min = 1,
     .max = DEGREE_MOST,
     .integer = 1,
     .help = "neighbours of every rank, below P; degree times P even"},
    {.key = "seed",
     .value = "1",
     .min = 0,
     .max = WEFT_TOPOLOGY_SEED_MOST,
     .integer = 1,
     .help = "another graph for each"},
    {.key = NULL}};

extern const weft_topology_type weft_topo_regular;
const weft_topology_type weft_topo_regular = {
    .name = "regular",
    .summary = "a random connected graph, every rank with the same degree",
    .source = "Cooper, Dyer & Greenhill 2007",
    .formula = "the degree given, diameter about log P / log(degree-1)",
    .params = params,
    .build = build,
};
