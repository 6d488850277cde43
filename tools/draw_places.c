/* SPDX-License-Identifier: Apache-2.0 */
#include "draw_places.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "svg.h"

static bool joined(const double *weight, int n, int a, int b)
{
    return weight[a * n + b] > 0.0 || weight[b * n + a] > 0.0;
}

/* Breadth first from the root: parent and depth of each. false: it is no tree. */
static bool find_tree(const double *weight, int n, int root, int *parent, int *depth, int *order)
{
    int edges = 0, head = 0, tail = 0;
    for (int a = 0; a < n; a++) {
        parent[a] = -2;
        for (int b = 0; b < a; b++) {
            edges += joined(weight, n, a, b);
        }
    }
    if (edges != n - 1) {
        return false;
    }
    parent[root] = -1;
    depth[root] = 0;
    order[tail++] = root;
    while (head < tail) {
        const int at = order[head++];
        for (int b = 0; b < n; b++) {
            if (parent[b] == -2 && joined(weight, n, at, b)) {
                parent[b] = at;
                depth[b] = depth[at] + 1;
                order[tail++] = b;
            }
        }
    }
    return tail == n;
}

/* Leaves side by side in depth first order, the others over the middle of their children. */
static double place_subtree(int at, int n, const int *parent, const int *depth, double *next_leaf,
                            double *x)
{
    double first = -1.0, last = 0.0;
    for (int b = 0; b < n; b++) {
        if (parent[b] == at) {
            last = place_subtree(b, n, parent, depth, next_leaf, x);
            first = first < 0.0 ? last : first;
        }
    }
    x[at] = first < 0.0 ? (*next_leaf)++ : (first + last) / 2;
    return x[at];
}

static bool place_tree(const double *weight, int n, int root, const weft_places_box *box,
                       weft_place *ret)
{
    const size_t count = n > 2 ? (size_t)n : 0;
    int *parent = calloc(count * 3 + 1, sizeof(*parent));
    double *x = calloc(count + 1, sizeof(*x)), leaves = 0.0;
    bool good = parent != NULL && x != NULL && count > 0;
    int deepest = 1;
    good = good && find_tree(weight, n, root, parent, parent + n, parent + 2 * n);
    if (good) {
        const int *depth = parent + n;
        (void)place_subtree(root, n, parent, depth, &leaves, x);
        for (int r = 0; r < n; r++) {
            deepest = depth[r] > deepest ? depth[r] : deepest;
        }
        for (int r = 0; r < n; r++) {
            const double across = leaves > 1.0 ? x[r] / (leaves - 1.0) : 0.5;
            ret[r].x = box->x + box->radius + across * (box->width - 2 * box->radius);
            ret[r].y =
                box->y + box->radius + (box->height - 2 * box->radius) * depth[r] / (double)deepest;
        }
    }
    free(parent);
    free(x);
    return good;
}

/* Is b beside a in a cycle of n? */
static bool beside(int a, int b, int n)
{
    const int far = abs(a - b);
    return far == 1 || far == n - 1;
}

/* All edges go to a neighbour, or around, in the same row or column. */
static bool is_torus(const double *weight, int n, int columns)
{
    const int rows = n / columns;
    for (int a = 0; a < n; a++) {
        for (int b = 0; b < a; b++) {
            const bool in_row =
                a / columns == b / columns && beside(a % columns, b % columns, columns);
            const bool in_column =
                a % columns == b % columns && beside(a / columns, b / columns, rows);
            if (joined(weight, n, a, b) && !in_row && !in_column) {
                return false;
            }
        }
    }
    return true;
}

/* The squarest torus; rings and pairs are none. */
static bool place_torus(const double *weight, int n, const weft_places_box *box, weft_place *ret)
{
    int columns = 0;
    for (int c = 3; c <= n / 2; c++) {
        if (n % c == 0 && (columns == 0 || abs(c - n / c) < abs(columns - n / columns)) &&
            is_torus(weight, n, c)) {
            columns = c;
        }
    }
    if (columns == 0) {
        return false;
    }
    const int rows = n / columns;
    const double edge = 2.2 * box->radius; /* room for the ways around */
    const double across = (box->width - 2 * edge) / (columns - 1);
    const double down = rows > 1 ? (box->height - 2 * edge) / (rows - 1) : 0.0;
    for (int r = 0; r < n; r++) {
        ret[r].row = r / columns;
        ret[r].column = r % columns;
        ret[r].x = box->x + edge + across * ret[r].column;
        ret[r].y = box->y + edge + (down < across ? down : across) * ret[r].row;
    }
    return true;
}

/* One in the middle who talks to all, who talk to nobody else. */
static bool place_star(const double *weight, int n, const weft_places_box *box, weft_place *ret)
{
    const double radius = box->width / 2 - box->radius - 2;
    int pairs = 0, middle = -1;
    for (int a = 0; a < n; a++) {
        int degree = 0;
        for (int b = 0; b < n; b++) {
            degree += a != b && joined(weight, n, a, b);
        }
        pairs += degree;
        middle = degree == n - 1 ? a : middle;
    }
    if (n < 5 || middle < 0 || pairs != 2 * (n - 1)) {
        return false;
    }
    for (int r = 0; r < n; r++) {
        const int at = r - (r > middle);
        const double angle = 2.0 * M_PI * at / (n - 1) - M_PI / 2;
        const double reach = r == middle ? 0.0 : radius;
        ret[r].x = box->x + box->width / 2 + reach * cos(angle);
        ret[r].y = box->y + box->height / 2 + reach * sin(angle);
    }
    return true;
}

void weft_places_find(const double *weight, int peers, int root, const weft_places_box *box,
                      weft_place *ret)
{
    const double radius = box->width / 2 - box->radius - 2;
    if (place_star(weight, peers, box, ret) || place_tree(weight, peers, root, box, ret) ||
        place_torus(weight, peers, box, ret)) {
        return;
    }
    for (int r = 0; r < peers; r++) {
        const double angle = 2.0 * M_PI * r / peers - M_PI / 2;
        const double reach = peers == 1 ? 0.0 : radius;
        ret[r].x = box->x + box->width / 2 + reach * cos(angle);
        ret[r].y = box->y + box->height / 2 + reach * sin(angle);
    }
}

static void put_head(FILE *to, double tx, double ty, double ux, double uy, double head)
{
    (void)fprintf(to, "<path d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1fz\" fill=\"#8e97a8\"/>\n", tx, ty,
                  tx - ux * head - uy * head * 0.42, ty - uy * head + ux * head * 0.42,
                  tx - ux * head + uy * head * 0.42, ty - uy * head - ux * head * 0.42);
}

/* From a to b; around others in a row or column of a torus in an arc. */
static void put_line(FILE *to, const weft_place *a, const weft_place *b, double width, bool both,
                     double radius)
{
    const double dx = b->x - a->x, dy = b->y - a->y, far = hypot(dx, dy);
    const double head = 5.0 + 2.0 * width;
    if (far <= 2 * radius) {
        return;
    }
    if (abs(a->row - b->row) > 1 || abs(a->column - b->column) > 1) {
        /* Out at the side: leave and come back at right angles to the line. */
        const double nx = dy != 0.0 ? 1.0 : 0.0, ny = dx != 0.0 ? 1.0 : 0.0, out = radius * 3.4;
        (void)fprintf(to,
                      "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\" fill=\"none\" "
                      "stroke=\"#8e97a8\" stroke-width=\"%.1f\"/>\n",
                      a->x + nx * radius, a->y + ny * radius, a->x + nx * out, a->y + ny * out,
                      b->x + nx * out, b->y + ny * out, b->x + nx * (radius + 3),
                      b->y + ny * (radius + 3), width);
        if (!both) {
            put_head(to, b->x + nx * (radius + 1), b->y + ny * (radius + 1), -nx, -ny, head);
        }
        return;
    }
    const double ux = dx / far, uy = dy / far, behind = radius + 2 + (both ? 0.0 : head * 0.8);
    (void)fprintf(
        to, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#8e97a8\" stroke-width=\"%.1f\"/>\n",
        a->x + ux * radius, a->y + uy * radius, b->x - ux * behind, b->y - uy * behind, width);
    if (!both) {
        put_head(to, b->x - ux * (radius + 1.5), b->y - uy * (radius + 1.5), ux, uy, head);
    }
}

void weft_places_put(FILE *to, const double *weight, double most, int peers,
                     const weft_places_box *box, const weft_place *places, const int *hosts)
{
    int host_count = 1, pairs = 0;
    for (int a = 0; a < peers; a++) {
        for (int b = 0; b < a; b++) {
            pairs += joined(weight, peers, a, b);
        }
        if (hosts != NULL && hosts[a] >= host_count) {
            host_count = hosts[a] + 1;
        }
    }
    /* Many lines are thin ones. */
    const double thin = pairs > 3 * peers ? fmax(0.3, 3.0 * peers / pairs) : 1.0;
    for (int a = 0; a < peers; a++) {
        for (int b = 0; b < peers; b++) {
            const double there = weight[a * peers + b], back = weight[b * peers + a];
            if (there > 0.0 && (back <= 0.0 || a < b)) {
                const double share = (there > back ? there : back) / most;
                put_line(to, &places[a], &places[b], (0.7 + 2.1 * share) * thin, back > 0.0,
                         box->radius);
            }
        }
    }
    for (int r = 0; r < peers; r++) {
        char color[8] = "#eef1f6";
        if (hosts != NULL) {
            weft_svg_color((hosts[r] + 0.5) / host_count, color);
        }
        (void)fprintf(to,
                      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" stroke=\"#3d4a63\" "
                      "stroke-width=\"1.3\"/>\n",
                      places[r].x, places[r].y, box->radius, color);
        if (box->radius >= 9.0) {
            weft_svg_text(to, places[r].x, places[r].y + 4.2, "middle",
                          box->radius >= 12.0 ? "rank" : "small", "%d", r);
        }
    }
}
