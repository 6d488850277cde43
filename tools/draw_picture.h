/* SPDX-License-Identifier: Apache-2.0 */
/* A story as a picture: who talks to whom, and a row a peer with time to the right. */
#ifndef WEFT_TOOLS_DRAW_PICTURE_H
#define WEFT_TOOLS_DRAW_PICTURE_H

#include <stdio.h>

#include "draw_story.h"

/* Words around the picture. */
typedef struct weft_picture_words {
    const char *title, *summary, *formula;
    const int *hosts; /* per peer; NULL: all on one */
    int root;
} weft_picture_words;

void weft_picture_put(const weft_story *story, const weft_picture_words *words, FILE *to);

#endif
