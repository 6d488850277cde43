/* SPDX-License-Identifier: Apache-2.0 */
#include "topology/topology.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fpenv.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"

#define X(name) extern const weft_topology_type weft_topo_##name;
#include "topology/topologies.def"
#undef X

static const weft_topology_type *const types[] = {
#define X(name) &weft_topo_##name,
#include "topology/topologies.def"
#undef X
};

enum { TYPES = sizeof(types) / sizeof(types[0]) };

const weft_topology_type *weft_topology_type_at(int index)
{
    return index >= 0 && index < TYPES ? types[index] : NULL;
}

/* The row a SPEC names; NULL, with WEFT_EINVAL, when there is none. */
static const weft_topology_type *find_type(const char *spec)
{
    char name[WEFT_SPEC_NAME], all[WEFT_SPEC_TEXT] = "";
    const char *names[TYPES];
    if (weft_spec_name(spec, name) != WEFT_OK) {
        weft_fail_context("topology");
        return NULL;
    }
    size_t len = 0;
    for (int i = 0; i < TYPES; i++) {
        names[i] = types[i]->name;
        if (!strcmp(name, names[i]))
            return types[i];
        int n = snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", names[i]);
        len += len + (size_t)n < sizeof(all) ? (size_t)n : 0;
    }
    const char *near = weft_nearest(name, names, TYPES);
    weft_fail(WEFT_EINVAL, "topology \"%s\" is unknown%s%s%s; topologies: %s", name,
              near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", all);
    return NULL;
}

double weft_topology_number(const weft_topology_type *type, const weft_spec *spec, const char *key)
{
    int i = 0;
    while (strcmp(type->params[i].key, key) != 0) {
        i++;
        assert(type->params[i].key);
    }
    return spec->number[i];
}

/* The graph of a builder's list. */
static int build_graph(const weft_topology_type *type, const weft_spec *spec, int size,
                       weft_graph *ret)
{
    char what[WEFT_SPEC_NAME * 2];
    weft_edges e = {.size = size};
    if (size == 0)
        return weft_fail(WEFT_EINVAL, "topology %s: of how many peers? (1 to %d)", type->name,
                         (int)WEFT_GRAPH_PEERS);
    int code = type->build(type, spec, &e);
    if (code == WEFT_OK && e.failed)
        code = weft_fail_context("topology %s", type->name);
    if (code == WEFT_OK)
        code = weft_graph_make(ret, &e, NULL);
    weft_edges_free(&e);
    snprintf(what, sizeof(what), "topology %s", type->name);
    if (code == WEFT_OK) {
        code = weft_graph_check_connected(ret, what);
        if (code != WEFT_OK)
            weft_graph_free(ret);
    }
    return code;
}

/* Bytes to hash. */
static uint8_t *put64(uint8_t *at, uint64_t v)
{
    weft_store_little(at, v);
    return at + 8;
}

static uint8_t *put_real(uint8_t *at, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return put64(at, bits);
}

/* Row by row, each row's hash going into the next: 0 or WEFT_ENOMEM. */
static int hash_graph(const weft_graph *g, uint64_t *ret)
{
    enum { HEAD = 24, NEIGHBOR = 32 };
    int most = 0;
    for (int r = 0; r < g->size; r++)
        most = weft_graph_degree(g, r) > most ? weft_graph_degree(g, r) : most;
    double *weights = weft_calloc((size_t)most, sizeof(*weights)), self = 0;
    uint8_t *room = weft_alloc(HEAD + (size_t)most * NEIGHBOR);
    uint64_t hash = (uint64_t)g->size;
    for (int r = 0; weights && room && r < g->size; r++) {
        const int degree = weft_graph_degree(g, r);
        weft_mixing_row(g, r, &self, weights);
        uint8_t *end = put_real(put64(put64(room, hash), (uint64_t)degree), self);
        for (int k = 0; k < degree; k++) {
            const size_t i = g->first[r] + (size_t)k;
            end = put_real(put64(end, (uint64_t)g->peer[i]), weights[k]);
            end = put_real(end, g->values ? g->values[i].rate : 0.0);
            end = put_real(end, g->values ? g->values[i].latency : 0.0);
        }
        hash = weft_hash64(room, (size_t)(end - room));
    }
    const bool done = weights && room;
    weft_free(weights);
    weft_free(room);
    if (!done)
        return weft_fail(WEFT_ENOMEM, "topology of %d peers: out of memory", g->size);
    *ret = hash;
    return WEFT_OK;
}

static int open_type(weft_topology *t, const char *spec, int size)
{
    weft_spec s;
    int code = weft_spec_parse("topology", spec, t->type->params, &s);
    if (code != WEFT_OK)
        return code;
    weft_spec_format(&s, t->type->params, t->text, sizeof(t->text));
    code = t->type->make ? t->type->make(t->type, &s, size, &t->graph)
                         : build_graph(t->type, &s, size, &t->graph);
    return code == WEFT_OK ? hash_graph(&t->graph, &t->digest) : code;
}

int weft_topology_open(weft_topology **ret, const char *spec, int size)
{
    if (!ret)
        return weft_fail(WEFT_EINVAL, "topology: NULL to return it in");
    const weft_topology_type *type = find_type(spec);
    if (!type)
        return WEFT_EINVAL;
    if (size < 0 || size > WEFT_GRAPH_PEERS)
        return weft_fail(WEFT_EINVAL, "topology %s: %d peers (1 to %d)", type->name, size,
                         (int)WEFT_GRAPH_PEERS);
    weft_topology *t = weft_calloc(1, sizeof(*t));
    if (!t)
        return weft_fail(WEFT_ENOMEM, "topology %s: out of memory", type->name);
    t->type = type;
    const fenv_t callers = weft_fp_enter();
    const int code = open_type(t, spec, size);
    weft_fp_leave(&callers);
    if (code != WEFT_OK)
        weft_topology_close(&t);
    else
        *ret = t;
    return code;
}

/* The edges of `whole` between ranks that have a place, with their values. place[rank]: -1, none.
 */
static int list_among(const weft_graph *whole, const int *ranks, const int *place, weft_edges *e,
                      weft_edge_values **ret_values)
{
    size_t cap = 0;
    weft_edge_values *values = NULL;
    for (int i = 0; i < e->size && !e->failed; i++) {
        for (size_t k = whole->first[ranks[i]]; k < whole->first[ranks[i] + 1]; k++) {
            const int other = place[whole->peer[k]];
            if (other <= i)
                continue;
            weft_edges_add(e, i, other);
            if (!whole->values || e->failed)
                continue;
            void *grown = values;
            if (!weft_grow(&grown, &cap, e->count, sizeof(*values)))
                e->failed = weft_fail(WEFT_ENOMEM, "topology: out of memory");
            else
                ((weft_edge_values *)(values = grown))[e->count - 1] = whole->values[k];
        }
    }
    *ret_values = values;
    return e->failed;
}

static int make_among(const weft_topology *whole, const int *ranks, int size, weft_graph *ret)
{
    weft_edges e = {.size = size};
    weft_edge_values *values = NULL;
    int *place = weft_alloc((size_t)whole->graph.size * sizeof(*place));
    if (!place)
        return weft_fail(WEFT_ENOMEM, "topology: out of memory");
    for (int r = 0; r < whole->graph.size; r++)
        place[r] = -1;
    for (int i = 0; i < size; i++)
        place[ranks[i]] = i;
    int code = list_among(&whole->graph, ranks, place, &e, &values);
    if (code == WEFT_OK)
        code = weft_graph_make(ret, &e, values);
    weft_free(values);
    weft_edges_free(&e);
    weft_free(place);
    return code;
}

int weft_topology_among(const weft_topology *whole, const int *ranks, int size, weft_topology **ret)
{
    weft_topology *t = weft_calloc(1, sizeof(*t));
    if (!t)
        return weft_fail(WEFT_ENOMEM, "topology: out of memory");
    t->type = whole->type;
    memcpy(t->text, whole->text, sizeof(t->text));
    const fenv_t callers = weft_fp_enter();
    int code = make_among(whole, ranks, size, &t->graph);
    if (code == WEFT_OK)
        code = weft_graph_check_connected(&t->graph, t->type->name);
    if (code == WEFT_OK)
        code = hash_graph(&t->graph, &t->digest);
    weft_fp_leave(&callers);
    if (code != WEFT_OK)
        weft_topology_close(&t);
    else
        *ret = t;
    return code;
}

void weft_topology_close(weft_topology **topology)
{
    if (!topology || !*topology)
        return;
    weft_graph_free(&(*topology)->graph);
    weft_free(*topology);
    *topology = NULL;
}

const char *weft_topology_spec(const weft_topology *topology)
{
    return topology->text;
}

int weft_topology_size(const weft_topology *topology)
{
    return topology->graph.size;
}

size_t weft_topology_edges(const weft_topology *topology)
{
    return topology->graph.first[topology->graph.size] / 2;
}

static bool has_rank(const weft_topology *t, int rank)
{
    return rank >= 0 && rank < t->graph.size;
}

const int *weft_topology_neighbors(const weft_topology *topology, int rank, int *ret_count)
{
    if (!has_rank(topology, rank))
        return NULL;
    *ret_count = weft_graph_degree(&topology->graph, rank);
    return weft_graph_row(&topology->graph, rank);
}

void weft_topology_degree(const weft_topology *topology, int *ret_min, int *ret_max)
{
    const weft_graph *g = &topology->graph;
    int least = weft_graph_degree(g, 0), most = least;
    for (int r = 1; r < g->size; r++) {
        const int degree = weft_graph_degree(g, r);
        least = degree < least ? degree : least;
        most = degree > most ? degree : most;
    }
    if (ret_min)
        *ret_min = least;
    if (ret_max)
        *ret_max = most;
}

int weft_topology_diameter(const weft_topology *topology, int *ret)
{
    const weft_graph *g = &topology->graph;
    if (g->size > WEFT_GRAPH_MEASURED)
        return weft_fail(WEFT_ENOTSUP, "topology %s: diameter of %d peers, at most %d",
                         topology->type->name, g->size, (int)WEFT_GRAPH_MEASURED);
    int *far = weft_calloc((size_t)g->size, sizeof(*far)), most = 0;
    const int code = far ? weft_graph_eccentricities(g, far)
                         : weft_fail(WEFT_ENOMEM, "topology: diameter: out of memory");
    for (int r = 0; code == WEFT_OK && r < g->size; r++)
        most = far[r] > most ? far[r] : most;
    weft_free(far);
    if (code == WEFT_OK)
        *ret = most;
    return code;
}

int weft_topology_edge(const weft_topology *topology, int a, int b, double *ret_rate,
                       double *ret_latency)
{
    const weft_graph *g = &topology->graph;
    const size_t i =
        has_rank(topology, a) && has_rank(topology, b) ? weft_graph_find(g, a, b) : SIZE_MAX;
    if (i == SIZE_MAX)
        return weft_fail(WEFT_EINVAL, "topology %s: no edge between %d and %d of %d peers",
                         topology->type->name, a, b, g->size);
    if (ret_rate)
        *ret_rate = g->values ? g->values[i].rate : 0.0;
    if (ret_latency)
        *ret_latency = g->values ? g->values[i].latency : 0.0;
    return WEFT_OK;
}

int weft_topology_weights(const weft_topology *topology, int rank, double *ret_self,
                          double *ret_neighbors)
{
    if (!has_rank(topology, rank))
        return weft_fail(WEFT_EINVAL, "topology %s: rank %d of %d peers", topology->type->name,
                         rank, topology->graph.size);
    weft_mixing_row(&topology->graph, rank, ret_self, ret_neighbors);
    return WEFT_OK;
}

int weft_topology_spectral_gap(const weft_topology *topology, double *ret)
{
    const int code = weft_mixing_gap(&topology->graph, ret);
    return code == WEFT_OK ? code : weft_fail_context("topology %s", topology->type->name);
}

uint64_t weft_topology_digest(const weft_topology *topology)
{
    return topology->digest;
}
