/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints. Each peer has a file of its own. All write theirs beside the old ones, tell each
 * other that they could, and only then put them in their place; the one before is kept. Who is cut
 * off in between leaves files of two saves: loading goes by the newest one that all have.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "optim/checkpoint.h"
#include "optim/optim.h"
#include <weft/group.h>

enum { NAME = 32 };

size_t weft_optim_vectors(const weft_optim *o, float *x, weft_vector out[WEFT_VECTORS])
{
    const weft_state64 *w = o->wide;
    const bool own_hbar = o->memory != NULL; /* each keeps its span of it */
    const bool own_m = o->name->m == WEFT_M_OWN;
    const bool has_m = o->name->m != WEFT_M_SCRATCH;
    const weft_vector all[WEFT_VECTORS] = {
        {"x", x, sizeof(float), false, NULL},
        {"v", o->v, sizeof(float), false, NULL},
        {"hbar", o->hbar, sizeof(float), own_hbar, NULL},
        {"h", o->h, sizeof(float), true, own_hbar ? NULL : o->hbar},
        {"m", has_m ? o->m : NULL, sizeof(float), own_m, NULL},
        {"second", o->second, sizeof(float), false, NULL},
        {"anchor", o->anchor, sizeof(float), false, NULL},
        {"residual", o->residual, sizeof(float), true, NULL},
        {"memory", o->memory, sizeof(float), false, NULL},
        {"x64", w != NULL ? w->x : NULL, sizeof(double), false, NULL},
        {"v64", w != NULL ? w->v : NULL, sizeof(double), false, NULL},
        {"hbar64", w != NULL ? w->hbar : NULL, sizeof(double), false, NULL},
        {"h64", w != NULL ? w->h : NULL, sizeof(double), true, w != NULL ? w->hbar : NULL},
    };
    size_t count = 0;

    for (size_t i = 0; i < WEFT_VECTORS; i++) {
        if (all[i].data != NULL) {
            out[count++] = all[i];
        }
    }
    return count;
}

/* --- saving -------------------------------------------------------------------------------- */

static void put_vector(weft_checkpoint *c, const char *name, const void *data, size_t bytes,
                       size_t count)
{
    weft_checkpoint_put_text(c, name);
    weft_checkpoint_put_number(c, bytes);
    weft_checkpoint_put_number(c, count);
    for (size_t i = 0; i < count && !c->failed; i += 1024) {
        const size_t n = count - i < 1024 ? count - i : 1024;
        uint8_t block[1024 * 8];
        memcpy(block, (const uint8_t *)data + i * bytes, n * bytes);
        weft_checkpoint_order(block, bytes, n);
        weft_checkpoint_put(c, block, n * bytes);
    }
}

static void put_head(const weft_optim *o, uint64_t saving, weft_checkpoint *c)
{
    weft_checkpoint_put_number(c, saving);
    weft_checkpoint_put_number(c, weft_group_seed(o->group));
    weft_checkpoint_put_number(c, o->steps);
    weft_checkpoint_put_number(c, (uint64_t)weft_group_rank(o->group));
    weft_checkpoint_put_number(c, (uint64_t)weft_group_size(o->group));
    weft_checkpoint_put_text(c, o->name->info.name);
    weft_checkpoint_put_number(c, o->piece_count);
    for (size_t i = 0; i < o->piece_count; i++) {
        weft_checkpoint_put_text(c, o->pieces[i].name);
        weft_checkpoint_put_number(c, o->pieces[i].count);
    }
}

/* A number that no other save has, the same on all peers. */
static int number_saving(const weft_optim *o, uint64_t *ret)
{
    const bool drawn =
        weft_group_rank(o->group) != 0 || weft_random_bytes(ret, sizeof(*ret)) == WEFT_OK;
    *ret = drawn ? *ret : 0;
    const int code = weft_broadcast(o->group, ret, 1, WEFT_U64, 0, NULL);
    return code == WEFT_OK && *ret == 0 ? weft_fail(WEFT_EIO, "checkpoint: no random number")
                                        : code;
}

/* Not into the scratch of steps: a failed one may be held there. */
static int mean_of(weft_optim *o, const float *v, float **mean)
{
    if (*mean == NULL) {
        *mean = weft_calloc(o->count, sizeof(**mean));
    }
    if (*mean == NULL) {
        o->held = false;
        weft_optim_decline_mean(o);
        return weft_fail(WEFT_ENOMEM, "checkpoint: no memory for a mean");
    }
    return weft_optim_exact_mean(o, v, *mean);
}

static int fill(weft_optim *o, const float *x, weft_checkpoint *c)
{
    weft_vector list[WEFT_VECTORS];
    uint64_t saving = 0, own = 0;
    float *mean = NULL;
    int code = number_saving(o, &saving);
    const size_t n = weft_optim_vectors(o, (float *)(uintptr_t)x, list);

    for (size_t i = 0; i < n; i++) {
        own += list[i].own;
    }
    put_head(o, saving, c);
    weft_checkpoint_put_number(c, n + own);
    for (size_t i = 0; code == WEFT_OK && i < n; i++) {
        const weft_vector *v = &list[i];
        char name[NAME];
        put_vector(c, v->name, v->data, v->bytes, o->count);
        if (!v->own) {
            continue;
        }
        /* What carries a span of hbar each is the mean of all h. */
        const float *from = strcmp(v->name, "hbar") == 0 ? o->h : v->data;
        code = v->mean == NULL ? mean_of(o, from, &mean) : WEFT_OK;
        if (code == WEFT_OK) {
            snprintf(name, sizeof(name), "mean:%s", v->name);
            put_vector(c, name, v->mean != NULL ? v->mean : mean, v->bytes, o->count);
        }
    }
    weft_free(mean);
    return code;
}

/* All have written theirs, of the same step? */
static int all_could(const weft_optim *o, int code)
{
    const uint64_t mine[3] = {code != WEFT_OK, o->steps, ~o->steps};
    uint64_t any[3] = {0};
    weft_problem why = {0};

    weft_problem_from_last(&why);
    const int rc = weft_optim_tell(o, mine, any, 3, WEFT_U64, WEFT_MAX);
    if (code != WEFT_OK) {
        return weft_fail_problem(&why);
    }
    if (rc == WEFT_OK && any[0] != 0) {
        return weft_fail(WEFT_EIO, "checkpoint: another peer could not write its file");
    }
    return rc == WEFT_OK && any[1] != ~any[2]
               ? weft_fail(WEFT_EMISMATCH, "checkpoint: peers are at different steps, %llu to %llu",
                           (unsigned long long)~any[2], (unsigned long long)any[1])
               : rc;
}

int weft_optim_save(weft_optim *o, const float *x, const char *path)
{
    weft_checkpoint c = {0};
    char *fresh = NULL;

    if (o == NULL || x == NULL || path == NULL || o->begun) {
        return weft_fail(WEFT_EINVAL, "optimizer save: %s",
                         o == NULL      ? "optim is NULL"
                         : x == NULL    ? "x is NULL"
                         : path == NULL ? "path is NULL"
                                        : "a step is begun and not finished");
    }
    int code = fill(o, x, &c);
    if (code == WEFT_OK) {
        code = c.failed ? weft_fail(WEFT_ENOMEM, "checkpoint %s: no memory", path)
                        : weft_checkpoint_write(&c, path, &fresh);
        code = all_could(o, code);
    }
    o->torn = o->torn || code != WEFT_OK; /* others may be a collective ahead */
    if (code == WEFT_OK) {
        code = weft_checkpoint_place(fresh, path); /* or not: the others need not know */
    }
    if (code != WEFT_OK && fresh != NULL) {
        unlink(fresh);
    }
    weft_free(fresh);
    weft_checkpoint_free(&c);
    return code;
}
