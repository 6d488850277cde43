/* SPDX-License-Identifier: Apache-2.0 */
/* Peers on a plane: a star, a tree from its root down, a torus in rows and columns, anything else
 * around a circle. */
#ifndef WEFT_TOOLS_DRAW_PLACES_H
#define WEFT_TOOLS_DRAW_PLACES_H

#include <stdio.h>

typedef struct weft_place {
    double x, y;
    int row, column; /* of a torus, else 0 */
} weft_place;

typedef struct weft_places_box {
    double x, y, width, height;
    double radius; /* of a peer */
} weft_places_box;

/* weight: [from * peers + to], above 0 where the one talks to the other. */
void weft_places_find(const double *weight, int peers, int root, const weft_places_box *box,
                      weft_place *ret);
/* Lines as thick as their share of `most`, with heads where only one direction is used; peers with
 * their rank, a color a host. */
void weft_places_put(FILE *to, const double *weight, double most, int peers,
                     const weft_places_box *box, const weft_place *places, const int *hosts);

#endif
