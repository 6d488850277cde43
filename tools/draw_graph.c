/* SPDX-License-Identifier: Apache-2.0 */
#include "draw_graph.h"

#include <stdlib.h>

#include "draw_places.h"
#include "svg.h"

static const double margin = 36, head = 118, side = 520, gap = 60, matrix = 300;

int weft_graph_facts_get(const weft_topology *topology, weft_graph_facts *ret)
{
    weft_graph_facts f = {.edges = weft_topology_edges(topology)};
    weft_topology_degree(topology, &f.degree_min, &f.degree_max);
    int rc = weft_topology_diameter(topology, &f.diameter);
    if (rc == WEFT_OK) {
        rc = weft_topology_spectral_gap(topology, &f.gap);
    }
    if (rc == WEFT_OK) {
        *ret = f;
    }
    return rc;
}

/* Edges both ways, as heavy as they are fast: all alike where no rates are told. */
static void weigh(const weft_topology *t, int n, double *weight, double *ret_most)
{
    double most = 0.0;
    for (int a = 0; a < n; a++) {
        int count = 0;
        const int *peers = weft_topology_neighbors(t, a, &count);
        for (int i = 0; i < count; i++) {
            double rate = 0.0;
            (void)weft_topology_edge(t, a, peers[i], &rate, NULL);
            weight[(size_t)a * (size_t)n + (size_t)peers[i]] = rate > 0.0 ? rate : 1.0;
            most = rate > most ? rate : most;
        }
    }
    *ret_most = most > 0.0 ? most : 2.0;
}

static void put_titles(const weft_topology *t, const weft_graph_facts *f, const char *summary,
                       FILE *to)
{
    const int n = weft_topology_size(t);
    weft_svg_text(to, margin, 46, "start", "title", "%s · %d peer%s", weft_topology_spec(t), n,
                  n == 1 ? "" : "s");
    weft_svg_text(to, margin, 70, "start", "sub", "%s", summary);
    if (f->degree_min == f->degree_max) {
        weft_svg_text(to, margin, 90, "start", "sub",
                      "%zu edges · degree %d · diameter %d · spectral gap %.4g", f->edges,
                      f->degree_max, f->diameter, f->gap);
    } else {
        weft_svg_text(to, margin, 90, "start", "sub",
                      "%zu edges · degree %d to %d · diameter %d · spectral gap %.4g", f->edges,
                      f->degree_min, f->degree_max, f->diameter, f->gap);
    }
}

/* share: of the heaviest. */
static void put_cell(FILE *to, double x, double y, double cell, double share)
{
    (void)fprintf(to,
                  "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#31568f\" "
                  "fill-opacity=\"%.3f\"/>\n",
                  x, y, cell, cell, 0.08 + 0.92 * share);
}

/* Row i, column j: how much of peer j is in i's next value. */
static int put_matrix(const weft_topology *t, int n, double left, double top, FILE *to)
{
    const double cell = matrix / n;
    double *weights = calloc((size_t)n * (size_t)n, sizeof(*weights)), most = 0.0;
    double *row = calloc((size_t)n, sizeof(*row));
    if (weights == NULL || row == NULL) {
        free(weights);
        free(row);
        return -1;
    }
    for (int i = 0; i < n; i++) {
        int count = 0;
        double self = 0.0;
        const int *peers = weft_topology_neighbors(t, i, &count);
        (void)weft_topology_weights(t, i, &self, row);
        weights[i * n + i] = self;
        most = self > most ? self : most;
        for (int k = 0; k < count; k++) {
            weights[i * n + peers[k]] = row[k];
            most = row[k] > most ? row[k] : most;
        }
    }
    weft_svg_text(to, left, top - 10, "start", "note", "weights of a mixing step");
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) {
            if (weights[i * n + k] > 0.0) {
                put_cell(to, left + k * cell, top + i * cell, cell, weights[i * n + k] / most);
            }
        }
    }
    (void)fprintf(to,
                  "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
                  "stroke=\"#c3c8d2\"/>\n",
                  left, top, matrix, matrix);
    for (int i = 0; i <= 10; i++) {
        put_cell(to, left + i * 12, top + matrix + 16, 12, i / 10.0);
    }
    weft_svg_text(to, left + 140, top + matrix + 26, "start", "note", "0 to %.3g", most);
    free(weights);
    free(row);
    return 0;
}

int weft_graph_put(const weft_topology *topology, const weft_graph_facts *facts,
                   const char *summary, const int *hosts, FILE *to)
{
    const int n = weft_topology_size(topology);
    const double radius = n <= 16 ? 14.0 : n <= 32 ? 11.0 : n <= 64 ? 9.0 : 5.0;
    const weft_places_box box = {margin, head, side, side, radius};
    double *weight = calloc((size_t)n * (size_t)n, sizeof(*weight)), most = 1.0;
    weft_place *places = calloc((size_t)n, sizeof(*places));
    int bad = weight == NULL || places == NULL ? -1 : 0;
    if (bad == 0) {
        weigh(topology, n, weight, &most);
        weft_places_find(weight, n, 0, &box, places);
        weft_svg_begin(to, margin + side + gap + matrix + margin, head + side + margin,
                       weft_topology_spec(topology));
        put_titles(topology, facts, summary, to);
        weft_places_put(to, weight, most, n, &box, places, hosts);
        bad = put_matrix(topology, n, margin + side + gap, head + 40, to);
        weft_svg_end(to);
    }
    free(weight);
    free(places);
    return bad;
}
