/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on from checkpoints. Everybody reads its file and tells what is in it; nothing changes
 * before all know that they can go on, and from the same save.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "optim/checkpoint.h"
#include "optim/optim.h"
#include <weft/group.h>

enum { NAME = 32, FILES = 2 };

/* Draws, which are the steps from 1 on, have 48 bits. */
#define MOST_STEPS ((UINT64_C(1) << 48) - 1)

/* A file that was read. */
typedef struct source {
    weft_checkpoint file;
    bool usable;
    uint64_t saving, steps, rank, size;
    uint64_t shared; /* checksum of what all peers have alike */
    const uint8_t *vectors[WEFT_VECTORS], *means[WEFT_VECTORS];
} source;

static int foreign(const char *path, const char *what, const char *theirs, const char *ours)
{
    return weft_fail(WEFT_EINVAL, "checkpoint %s: is of %s %s, this optimizer of %s", path, what,
                     theirs, ours);
}

static int check_tensors(const weft_optim *o, weft_checkpoint *c, const char *path)
{
    const uint64_t count = weft_checkpoint_number(c);

    for (size_t i = 0; i < o->piece_count && i < count; i++) {
        char name[WEFT_TENSOR_NAME];
        weft_checkpoint_text(c, name, sizeof(name));
        const uint64_t elements = weft_checkpoint_number(c);
        if (c->failed) {
            break;
        }
        if (strcmp(name, o->pieces[i].name) != 0) {
            return weft_fail(WEFT_EINVAL, "checkpoint %s: its tensor %zu is %s, the model's is %s",
                             path, i, name, o->pieces[i].name);
        }
        if (elements != o->pieces[i].count) {
            return weft_fail(WEFT_EINVAL,
                             "checkpoint %s: its tensor %s has %llu elements, the model's %zu",
                             path, name, (unsigned long long)elements, o->pieces[i].count);
        }
    }
    if (!c->failed && count != o->piece_count) {
        return weft_fail(WEFT_EINVAL, "checkpoint %s: has %llu tensors, the model %zu", path,
                         (unsigned long long)count, o->piece_count);
    }
    return WEFT_OK;
}

static int take_vector(const weft_optim *o, const weft_vector *list, size_t n, source *s,
                       const char *path)
{
    char text[NAME];
    weft_checkpoint_text(&s->file, text, sizeof(text));
    const uint64_t bytes = weft_checkpoint_number(&s->file);
    const uint64_t count = weft_checkpoint_number(&s->file);
    const bool mean = strncmp(text, "mean:", 5) == 0;
    const char *name = mean ? text + 5 : text;

    for (size_t i = 0; !s->file.failed && i < n; i++) {
        if (strcmp(list[i].name, name) != 0 || (mean && !list[i].own)) {
            continue;
        }
        if (bytes != list[i].bytes || count != o->count) {
            break;
        }
        const uint8_t *data = weft_checkpoint_take(&s->file, (size_t)(bytes * count));
        if (data != NULL && !mean && !list[i].own) {
            s->shared = weft_crc32c((uint32_t)s->shared, data, (size_t)(bytes * count));
        }
        *(mean ? &s->means[i] : &s->vectors[i]) = data;
        return WEFT_OK;
    }
    return weft_fail(WEFT_EINVAL, "checkpoint %s: holds a vector \"%s\" that does not fit here",
                     path, text);
}

static int parse(const weft_optim *o, float *x, source *s, const char *path)
{
    weft_vector list[WEFT_VECTORS];
    const size_t n = weft_optim_vectors(o, x, list);
    weft_checkpoint *c = &s->file;
    char method[WEFT_SPEC_NAME];

    s->saving = weft_checkpoint_number(c);
    (void)weft_checkpoint_number(c); /* the seed: for whoever looks into the file */
    s->steps = weft_checkpoint_number(c);
    s->rank = weft_checkpoint_number(c);
    s->size = weft_checkpoint_number(c);
    weft_checkpoint_text(c, method, sizeof(method));
    if (!c->failed && strcmp(method, o->name->info.name) != 0) {
        return foreign(path, "method", method, o->name->info.name);
    }
    int code = check_tensors(o, c, path);
    const uint64_t vectors = weft_checkpoint_number(c);
    for (uint64_t i = 0; code == WEFT_OK && !c->failed && i < vectors; i++) {
        code = take_vector(o, list, n, s, path);
    }
    if (code == WEFT_OK && s->steps >= MOST_STEPS) {
        return weft_fail(WEFT_EINVAL, "checkpoint %s: %llu steps are more than there can be", path,
                         (unsigned long long)s->steps);
    }
    if (code == WEFT_OK && (c->failed || c->at != c->length)) {
        return weft_fail(WEFT_EINVAL, "checkpoint %s: is not well formed near byte %zu", path,
                         c->at);
    }
    for (size_t i = 0; code == WEFT_OK && i < n; i++) {
        if (s->vectors[i] == NULL || (list[i].own && s->means[i] == NULL)) {
            return weft_fail(WEFT_EINVAL,
                             "checkpoint %s: holds no vector %s: the optimizer that saved it had "
                             "other keys",
                             path, list[i].name);
        }
    }
    s->usable = code == WEFT_OK;
    return code;
}

static int read_source(const weft_optim *o, float *x, source *s, const char *path)
{
    const int code = weft_checkpoint_read(&s->file, path);
    return code == WEFT_OK ? parse(o, x, s, path) : code;
}

static const source *of_saving(const source files[FILES], uint64_t saving)
{
    for (int i = 0; i < FILES; i++) {
        if (files[i].usable && files[i].saving == saving) {
            return &files[i];
        }
    }
    return NULL;
}

/* Of what all told, the newest save that everybody has; 0: none. */
static uint64_t common(const uint64_t *told, int size)
{
    uint64_t found = 0, steps = 0;

    for (int f = 0; f < FILES; f++) {
        const uint64_t saving = told[f * 2], at = told[f * 2 + 1];
        bool all = saving != 0;
        for (int r = 0; all && r < size; r++) {
            const uint64_t *t = told + (size_t)r * FILES * 2;
            all = t[0] == saving || t[2] == saving;
        }
        if (all && (found == 0 || at > steps)) {
            found = saving;
            steps = at;
        }
    }
    return found;
}

/* Which of the two files everybody is to take. */
static int agree(const weft_optim *o, const source files[FILES], int code, const source **ret)
{
    const int size = weft_group_size(o->group);
    uint64_t mine[FILES * 2] = {0};
    uint64_t *told = weft_calloc((size_t)size, sizeof(mine));
    weft_problem why = {0};

    weft_problem_from_last(&why);
    for (int i = 0; i < FILES; i++) {
        mine[i * 2] = files[i].usable ? files[i].saving : 0;
        mine[i * 2 + 1] = files[i].steps;
    }
    if (told == NULL) {
        return weft_fail(WEFT_ENOMEM, "checkpoint: no memory");
    }
    const int rc = weft_allgather(o->group, mine, told, FILES * 2, WEFT_U64, NULL);
    const uint64_t saving = rc == WEFT_OK ? common(told, size) : 0;
    int lost = -1;
    for (int r = 0; rc == WEFT_OK && r < size && lost < 0; r++) {
        const uint64_t *t = told + (size_t)r * FILES * 2;
        lost = t[0] == 0 && t[2] == 0 ? r : -1;
    }
    weft_free(told);
    if (rc != WEFT_OK) {
        return rc;
    }
    const source *mutual = saving != 0 ? of_saving(files, saving) : NULL;
    if (mutual != NULL) {
        *ret = mutual;
        return WEFT_OK;
    }
    if (code != WEFT_OK) {
        return weft_fail_problem(&why);
    }
    return lost >= 0 ? weft_fail_rank(WEFT_EINVAL, lost,
                                      "checkpoint: rank %d cannot go on from its file", lost)
                     : weft_fail(WEFT_EINVAL, "checkpoint: the peers' files are of no one save");
}

/* Everybody has its own file, of as many peers? And what all have alike is that? code: of making
 * the file the one to go on from. */
static int compare(const weft_optim *o, const source *s, int code, bool *ret_exact)
{
    weft_problem why = {0};

    weft_problem_from_last(&why);
    const uint64_t own = s->size == (uint64_t)weft_group_size(o->group) &&
                         s->rank == (uint64_t)weft_group_rank(o->group);
    const uint64_t mine[4] = {s->shared, ~s->shared, !own, code != WEFT_OK};
    uint64_t all[4];
    const int rc = weft_optim_tell(o, mine, all, 4, WEFT_U64, WEFT_MAX);

    if (code != WEFT_OK) {
        return weft_fail_problem(&why);
    }
    if (rc == WEFT_OK && all[3] != 0) {
        return weft_fail(WEFT_EIO, "checkpoint: another peer cannot put back its file");
    }
    if (rc == WEFT_OK && all[0] != ~all[1]) {
        return weft_fail(WEFT_EINVAL, "checkpoint: files of one save hold different models");
    }
    *ret_exact = all[2] == 0;
    return rc;
}

static void apply(weft_optim *o, float *x, const source *s, bool exact)
{
    weft_vector list[WEFT_VECTORS];
    const size_t n = weft_optim_vectors(o, x, list);

    for (size_t i = 0; i < n; i++) {
        memcpy(list[i].data, exact || !list[i].own ? s->vectors[i] : s->means[i],
               o->count * list[i].bytes);
        weft_checkpoint_order(list[i].data, list[i].bytes, o->count);
    }
    o->steps = s->steps;
    o->torn = o->held = false;
    o->stale = o->anchor != NULL;
    o->cost = (weft_step_cost){0};
    if (o->type->loaded != NULL) {
        o->type->loaded(o);
    }
}

int weft_optim_load(weft_optim *o, float *x, const char *path)
{
    source files[FILES] = {0};
    const source *found = NULL;
    char before[WEFT_CHECKPOINT_PATH];
    bool exact = false;

    if (o == NULL || x == NULL || path == NULL || o->begun) {
        return weft_fail(WEFT_EINVAL, "optimizer load: %s",
                         o == NULL      ? "optim is NULL"
                         : x == NULL    ? "x is NULL"
                         : path == NULL ? "path is NULL"
                                        : "a step is begun and not finished");
    }
    int code = weft_checkpoint_before(path, before);
    if (code == WEFT_OK) {
        (void)read_source(o, x, &files[1], before);
        code = read_source(o, x, &files[0], path);
    }
    if (code != WEFT_OK && access(path, F_OK) == 0) {
        files[1].usable = false; /* damaged or foreign: nobody goes on without being told */
    }
    code = agree(o, files, code, &found);
    if (code == WEFT_OK && found != NULL) {
        /* Else the next save would take it away, and be the only one that is whole: cut off in its
         * turn, it would leave files of no one save. Files that several read are left alone. */
        code = found == &files[1] && found->rank == (uint64_t)weft_group_rank(o->group)
                   ? weft_checkpoint_restore(path)
                   : WEFT_OK;
        code = compare(o, found, code, &exact);
    }
    if (code == WEFT_OK && found != NULL) {
        apply(o, x, found, exact);
    } else {
        o->torn = true; /* another peer may have gone on: the next step looks where all are */
    }
    weft_checkpoint_free(&files[0].file);
    weft_checkpoint_free(&files[1].file);
    return code;
}
