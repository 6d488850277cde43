/* SPDX-License-Identifier: Apache-2.0 */
/* What was chosen and built, by call: a training loop asks for the same few again and again. */
#ifndef WEFT_GROUP_PLANCACHE_H
#define WEFT_GROUP_PLANCACHE_H

#include "collectives/algo.h"
#include "engine/request.h"

typedef struct weft_plancache weft_plancache;

int weft_plancache_open(weft_plancache **ret);
void weft_plancache_close(weft_plancache **cache); /* NULL-safe */

/* As weft_algo_select(), for one group's choices: among them host, costs and files are always the
 * same, and graph, where there is one, too. Any thread. */
int weft_plancache_pick(weft_plancache *cache, const char *spec, const weft_choice *choice,
                        weft_pick *ret);

/* The checked plan of an algorithm for a shape (whose spec is given), with a reference for the
 * caller. Any thread. */
int weft_plancache_get(weft_plancache *cache, const weft_algo *algo, const weft_shape *shape,
                       weft_shared_plan **ret);

#endif
