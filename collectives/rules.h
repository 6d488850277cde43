/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules: which algorithm for which collective and size.
 *
 *     ring                                                     allreduce by ring, whatever the size
 *     allreduce:0-64K=doubling;allreduce:64K-=ring;broadcast=tree
 *
 * COLLECTIVE[:FROM-[TO]]=SPEC, separated by semicolons; the first that fits decides; where none
 * does, the choice is automatic. FROM and TO are bytes of the vector (of a block where there are
 * blocks), FROM in, TO out, with K, M or G for powers of 1024.
 */
#ifndef WEFT_COLLECTIVES_RULES_H
#define WEFT_COLLECTIVES_RULES_H

#include "collectives/algo.h"

/* 0; WEFT_EINVAL naming the rule: its form, a collective or an algorithm that there is not. */
int weft_rules_check(const char *rules);
/* The SPEC for a collective of so many bytes into out. false: none of the rules (which are right)
 * fits. rules may be NULL. */
bool weft_rules_find(const char *rules, weft_coll coll, uint64_t bytes, char out[WEFT_SPEC_TEXT]);

#endif
