/* SPDX-License-Identifier: Apache-2.0 */
/* What `weft bench tune` prints: measured against priced, what would be chosen, the constants. */
#ifndef WEFT_TOOLS_TUNE_PRINT_H
#define WEFT_TOOLS_TUNE_PRINT_H

#include <stdio.h>

#include <jansson.h>

#include "tune_cells.h"

/* Every line but the last begins with '#'; the last is `costs`, as WEFT_COSTS takes it. */
void weft_tune_print(const weft_tune *t, const weft_fit *fit, const char *costs, FILE *to);
json_t *weft_tune_json(const weft_tune *t, const weft_fit *fit, const char *costs);

#endif
