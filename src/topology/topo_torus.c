/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torus: rows x columns, row by row; every rank is next to the one right, left, above and below it,
 * around the edges. A dimension of two has one edge where a longer one has two, a dimension of one
 * has none: a single row is a ring.
 */
#include <stdio.h>

#include "base/status.h"
#include "topology/topology.h"

/* The largest divisor of size up to its square root. */
static int square_rows(int size)
{
    int rows = 1;
    for (int r = 1; r * r <= size; r++)
        rows = size % r == 0 ? r : rows;
    return rows;
}

static int fail_rows(const char *name, int rows, int size)
{
    char fit[160] = "";
    size_t len = 0;
    for (int r = 1; r <= size && len + 16 < sizeof(fit); r++)
        if (size % r == 0)
            len += (size_t)snprintf(fit + len, sizeof(fit) - len, "%s%d", len ? ", " : "", r);
    return weft_fail(WEFT_EINVAL, "topology %s: %d rows do not divide %d peers; rows that do: %s",
                     name, rows, size, fit);
}

static int build(const weft_topology_type *type, const weft_spec *spec, weft_edges *e)
{
    int rows = (int)weft_topology_number(type, spec, "rows");
    if (rows == 0)
        rows = square_rows(e->size);
    if (e->size % rows != 0)
        return fail_rows(type->name, rows, e->size);
    const int columns = e->size / rows;
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++) {
            const int r = row * columns + column;
            if (columns > 1)
                weft_edges_add(e, r, row * columns + (column + 1) % columns);
            if (rows > 1)
                weft_edges_add(e, r, (row + 1) % rows * columns + column);
        }
    return WEFT_OK;
}

static const weft_param params[] = {
    {.key = "rows",
     .value = "0",
     .min = 0,
     .max = WEFT_GRAPH_PEERS,
     .integer = 1,
     .help = "rows, a divisor of P; 0: the largest up to its square root"},
    {.key = NULL}};

extern const weft_topology_type weft_topo_torus;
const weft_topology_type weft_topo_torus = {
    .name = "torus",
    .summary = "rows by columns, wrapped around both ways",
    .source = "",
    .formula = "degree 4, diameter floor(rows/2) + floor(columns/2)",
    .params = params,
    .build = build,
};
