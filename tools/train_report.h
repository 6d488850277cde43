/* SPDX-License-Identifier: Apache-2.0 */
/* What `weft train` tells at the end: the JSON file and the table. */
#ifndef WEFT_TOOLS_TRAIN_REPORT_H
#define WEFT_TOOLS_TRAIN_REPORT_H

#include "train_loop.h"

/* Everything as JSON (the shape is in `weft train --help`'s words). NULL: out of memory. */
json_t *weft_train_json(const weft_train_settings *settings, const weft_problem *problem,
                        const weft_train_result *results, int peers);

/* Data, problem and one line a run. */
void weft_train_print(FILE *to, const weft_train_settings *settings, const weft_problem *problem,
                      const weft_train_result *results, int peers);

#endif
