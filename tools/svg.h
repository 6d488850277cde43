/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of SVG: text, lines, colors. */
#ifndef WEFT_TOOLS_SVG_H
#define WEFT_TOOLS_SVG_H

#include <stdio.h>

/* Begin and end a picture of so many units, on white. title: for readers and for the window. */
void weft_svg_begin(FILE *to, double width, double height, const char *title);
void weft_svg_end(FILE *to);
/* Text at a baseline; anchor: "start", "middle", "end". class: of the style sheet in the picture,
 * "title", "sub", "note", "rank", "round". Escaped. */
void weft_svg_text(FILE *to, double x, double y, const char *anchor, const char *class,
                   const char *format, ...) __attribute__((format(printf, 6, 7)));
/* "#rrggbb" of a place 0 … 1 along something, in even lightness (OKLCH); neighbours differ. */
void weft_svg_color(double place, char ret[8]);
/* An arrow from left to right in an S, with its head. dash: combined at its end (0) or kept (1). */
void weft_svg_arrow(FILE *to, double x0, double y0, double x1, double y1, const char *color,
                    double width, int dash);

#endif
