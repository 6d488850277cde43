/* SPDX-License-Identifier: Apache-2.0 */
/* The public side of plan files: what is in one, and an algorithm's plans as one. */
#include <weft/plan.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"
#include "explain/study.h"

int weft_plan_inspect(const char *path, weft_plan_facts *ret)
{
    weft_plan_algo *a;
    int rc;

    if (!path || !ret || ret->size < sizeof ret->size)
        return weft_fail(WEFT_EINVAL, "weft_plan_inspect: name a file and set ret->size");
    if ((rc = weft_plan_algo_open(NULL, path, &a)))
        return rc;
    const weft_plan_file *f = weft_plan_algo_file(a);
    const weft_algo *row = weft_plan_algo_row(a);
    const weft_shape s = {.coll = f->coll, .size = f->peers, .root = f->root, .file = a};
    const weft_cost cost = row->cost(&s, 1, 1);
    weft_plan_facts all = {.size = ret->size,
                           .collective = weft_coll_name(f->coll),
                           .peers = f->peers,
                           .root = weft_coll_rooted(f->coll) ? f->root : -1,
                           .parts = f->parts,
                           .combines = (row->needs & WEFT_NEEDS_MERGE) != 0,
                           .steps = f->first[f->peers],
                           .rounds = (uint64_t)cost.rounds,
                           .messages = (uint64_t)cost.messages};
    weft_plan_algo_name(a, all.name, sizeof all.name);
    memcpy(ret, &all, ret->size < sizeof all ? ret->size : sizeof all);
    weft_plan_algo_unref(a);
    return WEFT_OK;
}

/* Elements of a lane that is cut without a rest into P parts, the P' = 2^k of butterflies, halves
 * and quarters of those, the parts of P - 1 peers, thirds. Nothing of that size is allocated. */
static size_t divisible(int peers)
{
    size_t power = 1;

    while (power < (size_t)peers)
        power *= 2;
    return 12 * power * (size_t)peers * (size_t)(peers > 1 ? peers - 1 : 1);
}

static int save(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");

    if (!file)
        return weft_fail(WEFT_EIO, "plan file %s: %s", path, strerror(errno));
    const bool put = fputs(text, file) >= 0;
    if ((fclose(file) != 0) | !put)
        return weft_fail(WEFT_EIO, "plan file %s: cannot be written: %s", path, strerror(errno));
    return WEFT_OK;
}

/* What the study picked, in lanes that are cut evenly. */
static int build_all(const weft_study *s, weft_plan *plans)
{
    weft_shape shape = weft_study_shape(s, 0, false);
    int rc = WEFT_OK;

    shape.count = divisible(shape.size);
    shape.block = 1;
    for (; !rc && shape.rank < shape.size; shape.rank++)
        rc = weft_algo_build(s->pick.algo, &shape, &plans[shape.rank]);
    return rc;
}

static int export_plans(const weft_study *s, weft_plan *plans, const char *path)
{
    char note[80], *text = NULL;
    int rc = build_all(s, plans);

    snprintf(note, sizeof note, "%s of %d peers as weft builds it", weft_coll_name(s->coll),
             s->query.peers);
    if (!rc)
        rc = weft_plan_file_write(s->coll, s->query.root, plans, s->pick.text, note, &text);
    if (!rc)
        rc = save(path, text);
    weft_free(text);
    return rc;
}

int weft_plan_export(const weft_query *query, const char *path)
{
    weft_plan *plans = NULL;
    weft_study s;
    int rc;

    if (!path)
        return weft_fail(WEFT_EINVAL, "weft_plan_export: name a file");
    if ((rc = weft_study_open(&s, query)))
        return rc;
    if (!(rc = weft_study_pick(&s, query->algo)))
        plans = weft_calloc((size_t)s.query.peers, sizeof *plans);
    if (!rc && !plans)
        rc = weft_fail(WEFT_ENOMEM, "weft_plan_export: no memory for %d plans", s.query.peers);
    if (!rc)
        rc = export_plans(&s, plans, path);
    for (int rank = 0; plans && rank < s.query.peers; rank++)
        weft_plan_free(&plans[rank]);
    weft_free(plans);
    weft_study_close(&s);
    return rc;
}
