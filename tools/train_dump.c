/* SPDX-License-Identifier: Apache-2.0 */
#include "train_dump.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/collective.h>

#include "report.h"

#define PATH_CAP 4096

/* What is recorded. */
enum record { X, G, H, Q, HBAR, V, XS, RECORDS };

static const char *const names[RECORDS] = {"x", "g", "h", "q", "hbar", "v", "xs"};

struct weft_dump {
    weft_peer *peer;
    char *folder;
    size_t count;
    uint64_t steps;
    bool sends_gradients, scattered;
    bool held[RECORDS];  /* the method has it; the same on all peers */
    FILE *file[RECORDS]; /* rank 0 only; XS: in the order [K+1,n,d], turned at the end */
    float *gathered;     /* size x count */
    uint32_t *words;     /* the same, as little-endian words */
};

static bool path_of(const weft_dump *d, const char *name, const char *tail, char path[PATH_CAP])
{
    const int n = snprintf(path, PATH_CAP, "%s/%s%s", d->folder, name, tail);

    return n > 0 && n < PATH_CAP;
}

static int fail_file(const weft_dump *d, const char *name)
{
    return weft_peer_fail(d->peer, WEFT_EXIT_USAGE, "--dump: cannot write %s in %s: %s", name,
                          d->folder, strerror(errno));
}

int weft_dump_prepare(const char *folder, char *why, size_t cap)
{
    struct stat found;

    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        snprintf(why, cap, "--dump: cannot make the folder %s: %s", folder, strerror(errno));
        return -1;
    }
    if (stat(folder, &found) == 0 && !S_ISDIR(found.st_mode))
        errno = ENOTDIR;
    else if (access(folder, W_OK | X_OK) == 0)
        return 0;
    snprintf(why, cap, "--dump: cannot write in %s: %s", folder, strerror(errno));
    return -1;
}

static void release(weft_dump **dump)
{
    weft_dump *d = *dump;

    *dump = NULL;
    if (d == NULL)
        return;
    for (int r = 0; r < RECORDS; r++) {
        if (d->file[r] != NULL)
            fclose(d->file[r]);
    }
    free(d->folder);
    free(d->gathered);
    free(d->words);
    free(d);
}

int weft_dump_open(weft_dump **ret, weft_peer *peer, const char *folder, size_t count)
{
    weft_dump *d = calloc(1, sizeof(*d));
    char why[256];

    if (d == NULL)
        goto memory;
    d->peer = peer;
    d->count = count;
    d->folder = strdup(folder);
    d->gathered = calloc((size_t)peer->size * count, sizeof(*d->gathered));
    d->words = calloc((size_t)peer->size * count, sizeof(*d->words));
    if (d->folder == NULL || d->gathered == NULL || d->words == NULL)
        goto memory;
    if (peer->rank == 0 && weft_dump_prepare(folder, why, sizeof(why)) != 0) {
        release(&d);
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
    }
    *ret = d;
    return 0;
memory:
    release(&d);
    return weft_peer_fail(peer, WEFT_EXIT_WRONG, "--dump: out of memory");
}

/* Append vectors of d->count floats to a record's file, at rank 0. */
static int append(weft_dump *d, enum record r, const float *vectors, int how_many)
{
    const size_t n = d->count * (size_t)how_many;
    char path[PATH_CAP];

    if (d->peer->rank != 0)
        return 0;
    if (d->file[r] == NULL) {
        if (!path_of(d, names[r], r == XS ? ".part" : ".f32", path)) {
            errno = ENAMETOOLONG;
            return fail_file(d, names[r]);
        }
        d->file[r] = fopen(path, "w+b");
        if (d->file[r] == NULL)
            return fail_file(d, names[r]);
    }
    memcpy(d->words, vectors, n * sizeof(*vectors));
    for (size_t i = 0; i < n; i++)
        d->words[i] = htole32(d->words[i]);
    if (fwrite(d->words, sizeof(*d->words), n, d->file[r]) != n)
        return fail_file(d, names[r]);
    d->held[r] = true;
    return 0;
}

/* Gather every peer's vector and append them in rank order. */
static int append_all(weft_dump *d, enum record r, const float *vector)
{
    if (vector == NULL)
        return 0;
    if (weft_allgather(d->peer->group, vector, d->gathered, d->count, WEFT_F32, NULL) != WEFT_OK)
        return weft_peer_error(d->peer, "--dump");
    return append(d, r, d->gathered, d->peer->size);
}

/* Of the memories that were gathered last, into the place of the first. */
static const float *mean_gathered(weft_dump *d)
{
    for (size_t j = 0; j < d->count; j++) {
        double sum = 0;

        for (size_t r = 0; r < (size_t)d->peer->size; r++)
            sum += (double)d->gathered[r * d->count + j];
        d->gathered[j] = (float)(sum / d->peer->size);
    }
    return d->gathered;
}

/* x, xs, h, hbar: held before the first step and after each. */
static int append_state(weft_dump *d, const weft_optim *optim, const float *x)
{
    const float *hbar = weft_optim_state(optim, "hbar");
    int status = append(d, X, x, 1);

    if (status == 0)
        status = append_all(d, XS, x);
    if (status == 0)
        status = append_all(d, H, weft_optim_state(optim, "h"));
    if (status == 0 && hbar != NULL)
        status = append(d, HBAR, d->scattered ? mean_gathered(d) : hbar, 1);
    return status;
}

void weft_dump_knows(weft_dump *dump, bool sends_gradients, bool scattered)
{
    dump->sends_gradients = sends_gradients;
    dump->scattered = scattered;
}

int weft_dump_start(weft_dump *dump, const weft_optim *optim, const float *x)
{
    return append_state(dump, optim, x);
}

int weft_dump_step(weft_dump *dump, const weft_optim *optim, const float *x, const float *gradient)
{
    const float *v = weft_optim_state(optim, "v");
    const float *q = weft_optim_state(optim, "q");
    int status = append_all(dump, G, gradient);

    if (status == 0 && (q != NULL || dump->sends_gradients))
        status = append_all(dump, Q, q != NULL ? q : gradient);
    if (status == 0 && v != NULL)
        status = append(dump, V, v, 1);
    if (status == 0)
        status = append_state(dump, optim, x);
    dump->steps += status == 0;
    return status;
}

/* xs: from [K+1,n,d] as it came to [n,K+1,d]. */
static int turn_models(weft_dump *d)
{
    const size_t row = d->count * sizeof(*d->words);
    FILE *from = d->file[XS], *to = NULL;
    char path[PATH_CAP];
    int status = 0;

    if (from == NULL || !path_of(d, names[XS], ".f32", path))
        return fail_file(d, names[XS]);
    to = fopen(path, "wb");
    if (to == NULL)
        return fail_file(d, names[XS]);
    for (uint64_t r = 0; r < (uint64_t)d->peer->size && status == 0; r++) {
        for (uint64_t k = 0; k <= d->steps && status == 0; k++) {
            const uint64_t at = (k * (uint64_t)d->peer->size + r) * row;

            if (fseeko(from, (off_t)at, SEEK_SET) != 0 || fread(d->words, row, 1, from) != 1 ||
                fwrite(d->words, row, 1, to) != 1)
                status = fail_file(d, names[XS]);
        }
    }
    if (fclose(to) != 0 && status == 0)
        status = fail_file(d, names[XS]);
    if (path_of(d, names[XS], ".part", path))
        remove(path);
    return status;
}

static int write_shapes(weft_dump *d, json_t *about)
{
    const json_int_t k = (json_int_t)d->steps, n = d->peer->size, c = (json_int_t)d->count;
    const struct {
        enum record record;
        int dims;
        json_int_t shape[3];
    } shapes[] = {{X, 2, {k + 1, c}},    {G, 3, {k, n, c}},     {H, 3, {k + 1, n, c}},
                  {Q, 3, {k, n, c}},     {HBAR, 2, {k + 1, c}}, {V, 2, {k, c}},
                  {XS, 3, {n, k + 1, c}}};
    json_t *root = json_object();
    char path[PATH_CAP], why[256];

    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        json_t *shape = json_array();

        for (int j = 0; j < shapes[i].dims; j++)
            json_array_append_new(shape, json_integer(shapes[i].shape[j]));
        if (d->held[shapes[i].record])
            json_object_set_new(root, names[shapes[i].record], shape);
        else
            json_decref(shape);
    }
    json_object_update(root, about);
    if (!path_of(d, "shapes", ".json", path)) {
        json_decref(root);
        errno = ENAMETOOLONG;
        return fail_file(d, "shapes.json");
    }
    if (weft_report_json(path, root, why) != 0)
        return weft_peer_fail(d->peer, WEFT_EXIT_USAGE, "--dump: %s", why);
    return 0;
}

int weft_dump_close(weft_dump **dump, json_t *about)
{
    weft_dump *d = *dump;
    int status = 0;

    if (d != NULL && d->peer->rank == 0) {
        for (int r = 0; r < RECORDS && status == 0; r++) {
            if (d->file[r] != NULL && fflush(d->file[r]) != 0)
                status = fail_file(d, names[r]);
        }
        if (status == 0)
            status = turn_models(d);
        if (status == 0)
            status = write_shapes(d, about);
    }
    json_decref(about);
    release(dump);
    return status;
}
