/* SPDX-License-Identifier: Apache-2.0 */
/* The public side of plan files: what is in one, and an algorithm's plans as one. */
#include <weft/plan.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_algo.h"

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

static int find_coll(const char *name, weft_coll *ret)
{
    for (int coll = 0; name && coll < WEFT_COLL_COUNT; coll++) {
        if (strcmp(weft_coll_name((weft_coll)coll), name) == 0) {
            *ret = (weft_coll)coll;
            return WEFT_OK;
        }
    }
    return weft_fail(WEFT_EINVAL, "there is no collective \"%.40s\"", name ? name : "");
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

static int export_plans(const weft_pick *p, const weft_shape *s, weft_plan *plans, const char *path)
{
    char note[80], *text = NULL;
    int rc = WEFT_OK;

    for (int rank = 0; !rc && rank < s->size; rank++) {
        weft_shape mine = *s;
        mine.rank = rank;
        rc = weft_algo_build(p->algo, &mine, &plans[rank]);
    }
    snprintf(note, sizeof note, "%s of %d peers as weft builds it", weft_coll_name(s->coll),
             s->size);
    if (!rc)
        rc = weft_plan_file_write(s->coll, s->root, plans, p->text, note, &text);
    if (!rc)
        rc = save(path, text);
    weft_free(text);
    return rc;
}

int weft_plan_export(const char *collective, const char *algo, int peers, int root,
                     const int *hosts, const char *path)
{
    weft_choice c = {.size = peers,
                     .element_bytes = 4,
                     .encoded_bytes = 4,
                     .traits = WEFT_CODEC_LOSSLESS | WEFT_CODEC_MERGES,
                     .root = root,
                     .host = hosts};
    weft_pick p;
    int rc = find_coll(collective, &c.coll);

    if (rc)
        return rc;
    if (!path || !algo || strcmp(algo, "auto") == 0 || peers < 1 || peers > WEFT_PLAN_FILE_PEERS)
        return weft_fail(WEFT_EINVAL,
                         "weft_plan_export: name a file, an algorithm (not \"auto\") "
                         "and 1 ... %d peers",
                         WEFT_PLAN_FILE_PEERS);
    c.count = divisible(peers);
    if ((rc = weft_algo_select(algo, &c, &p)))
        return rc;
    const weft_shape s = {.coll = c.coll,
                          .size = peers,
                          .count = (size_t)c.count,
                          .block = 1,
                          .root = root,
                          .spec = &p.spec,
                          .host = hosts,
                          .file = p.file};
    weft_plan *plans = weft_calloc((size_t)peers, sizeof *plans);
    rc = plans ? export_plans(&p, &s, plans, path)
               : weft_fail(WEFT_ENOMEM, "weft_plan_export: no memory for %d plans", peers);
    for (int rank = 0; plans && rank < peers; rank++)
        weft_plan_free(&plans[rank]);
    weft_free(plans);
    weft_pick_free(&p);
    return rc;
}
