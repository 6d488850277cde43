/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told about the runs of `weft train` before any peer starts. */
#ifndef WEFT_TOOLS_TRAIN_CHECK_H
#define WEFT_TOOLS_TRAIN_CHECK_H

#include "train_loop.h"

/* Does every peer have rows enough? 0, or -1 with the reason in why. */
int weft_train_check_rows(const weft_train_settings *settings, int peers, char *why, size_t cap);

/* Open every run's optimizer and make a step of it on zeros, in a group of one: what it, its codec,
 * algorithm and step size are, and whether they go together. 0, or the exit status after telling
 * what does not. */
int weft_train_rehearse(const weft_cli *cli, const weft_train_settings *settings);

/* Value of a key in a SPEC that has every value; `otherwise` when it has not that key. */
double weft_train_number(const char *spec, const char *key, double otherwise);

/* A prox that f does not contain would move the minimum away from f*: are those of the optimizer
 * the problem's? spec: its SPEC with every value; convex: f* is known. */
bool weft_train_penalties_fit(const char *spec, double l1, bool convex);
extern const char weft_train_penalties_text[]; /* what to say if not */

/* The codec of the run's replies; NULL: none. */
const char *weft_train_reply(const weft_train_spec *run);

#endif
