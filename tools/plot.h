/* SPDX-License-Identifier: Apache-2.0 */
/* Curves of training runs as an SVG file, drawn by gnuplot: gap (or f) and, where there is test
 * data with classes, accuracy against steps, bits and seconds. */
#ifndef WEFT_TOOLS_PLOT_H
#define WEFT_TOOLS_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "trace.h"

typedef struct weft_plot_line {
    const char *name;
    const weft_trace *trace;
} weft_plot_line;

/* Can a plot be drawn to this file: does its name end in .svg, is gnuplot there, can the file be
 * written? 0, or -1 with why. Nothing is written. */
int weft_plot_check(const char *path, char *why, size_t cap);

/* Draw; the file appears when it is complete. title: one line above. 0, or -1 with the reason in
 * why. */
int weft_plot_draw(const char *path, const char *title, const weft_plot_line *lines, size_t count,
                   char *why, size_t cap);

#endif
