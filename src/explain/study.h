/* SPDX-License-Identifier: Apache-2.0 */
/* A query, checked and resolved as src/group resolves a call: codec, choice, algorithm, lanes; and
 * the proof of what it resolves to. */
#ifndef WEFT_EXPLAIN_STUDY_H
#define WEFT_EXPLAIN_STUDY_H

#include <stdbool.h>

#include "coding/coding.h"
#include <weft/explain.h>

typedef struct weft_study {
    weft_query query; /* hosts and order: the study's own; texts: gone after opening */
    weft_coll coll;
    weft_coding coding;
    weft_costs costs;
    weft_choice choice;
    weft_plan_files *files; /* that were named */
    int *hosts, *order;     /* NULL: none */
    int host_count;
    size_t block;
    /* from weft_study_pick() */
    weft_pick pick;
    uint64_t lane, lanes;
} weft_study;

/* All but the algorithm. 0; WEFT_EINVAL; WEFT_ENOTSUP; WEFT_ENOMEM: nothing to close then. */
int weft_study_open(weft_study *ret, const weft_query *query);
void weft_study_close(weft_study *s);
/* The algorithm that a SPEC names (NULL, "auto": the cheapest), and the lanes. What
 * weft_algo_select() returns. */
int weft_study_pick(weft_study *s, const char *spec);
/* Lanes of a pick. */
void weft_study_lanes(const weft_study *s, const weft_pick *p, uint64_t *ret_lane,
                      uint64_t *ret_lanes);

/* The last lane is shorter. */
bool weft_study_has_rest(const weft_study *s);
weft_shape weft_study_shape(const weft_study *s, int rank, bool last);
/* For weft_clock_job: user is the study. */
int weft_study_build(void *user, int rank, bool last, weft_plan *ret);
size_t weft_study_bound(void *user, const weft_plan *p, const weft_step *step);

/* Prove the plans of all ranks, of the last lane or of one before it, and add them to *proof. 0;
 * what building them returned; WEFT_EINTERNAL with rank and step, or the figure that is wrong. */
int weft_study_prove(const weft_study *s, bool last, weft_proof *proof);

#endif
