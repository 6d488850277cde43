/* SPDX-License-Identifier: Apache-2.0 */
/* Saves that were cut off in the middle, and places that cannot be written or read. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "optim_files.h"
#include "optim_peers.h"
#include <weft/weft.h>

#define FOUR_BITS "qsgd:levels=7,bucket=8,norm=max"

enum { SMALL = 3 };

/* --- saves that were cut off --------------------------------------------------------------- */

typedef struct cut {
    const char *folder;
    int how; /* see cut_off() */
    int code[3];
    uint64_t steps[3], again[3];
    float x[3][SMALL], at[2][SMALL]; /* behind the load; at each save */
    char text[3][256];
} cut;

/* As if rank 1 had been killed somewhere in the second save. */
static void cut_off(const cut *c, const char *path)
{
    char before[160];

    snprintf(before, sizeof(before), "%s.before", path);
    switch (c->how) {
    case 1: /* before its first rename */
        unlink(path);
        rename(before, path);
        break;
    case 2: /* between the two */
        unlink(path);
        break;
    case 3: /* nothing of either is left */
        unlink(path);
        unlink(before);
        break;
    default: /* 0: not at all */
        break;
    }
}

static void save_twice(weft_group *group, int rank, void *user)
{
    cut *c = user;
    const weft_optim_opts opts = {.size = sizeof(opts), .lr = "0.1", .codec = FOUR_BITS};
    weft_optim *o = NULL;
    float x[SMALL] = {0}, g[SMALL] = {1.0f, (float)rank, 4.0f};
    char path[128];
    int code = weft_optim_open(&o, group, "diana", SMALL, &opts);

    snprintf(path, sizeof(path), "%s/%d", c->folder, rank);
    for (int k = 1; code == WEFT_OK && k <= 7; k++) {
        code = weft_optim_step(o, x, g);
        if (code == WEFT_OK && (k == 3 || k == 5)) {
            code = weft_optim_save(o, x, path);
            if (rank == 0) {
                memcpy(c->at[k == 5], x, sizeof(x));
            }
        }
    }
    if (rank == 1) {
        cut_off(c, path);
    }
    if (code == WEFT_OK) {
        code = weft_optim_load(o, x, path);
        c->steps[rank] = weft_optim_steps(o);
        memcpy(c->x[rank], x, sizeof(x));
    }
    if (code == WEFT_OK) {
        code = weft_optim_step(o, x, g);
    }
    /* The next one is cut off too. */
    if (code == WEFT_OK) {
        code = weft_optim_save(o, x, path);
    }
    if (code == WEFT_OK && rank == 1) {
        cut_off(c, path);
    }
    if (code == WEFT_OK) {
        code = weft_optim_load(o, x, path);
        c->again[rank] = weft_optim_steps(o);
    }
    c->code[rank] = code;
    snprintf(c->text[rank], sizeof(c->text[rank]), "%s", weft_last_error()->message);
    weft_optim_close(&o);
}

Test(checkpoint, the_newest_save_that_all_peers_have_is_gone_on_from)
{
    for (int how = 0; how < 3; how++) {
        cut c = {.folder = scratch_folder(), .how = how};
        const int newest = how == 0;

        peers_run(3, save_twice, &c);
        for (int r = 0; r < 3; r++) {
            cr_expect_eq(c.code[r], WEFT_OK, "cut %d, rank %d: %s", how, r, c.text[r]);
            cr_expect_eq(c.steps[r], newest ? 5 : 3, "cut %d, rank %d", how, r);
            cr_expect_arr_eq(c.x[r], c.at[newest], sizeof(c.x[r]), "cut %d, rank %d", how, r);
            cr_expect_eq(c.again[r], newest ? 6 : 3, "cut %d, rank %d, once more", how, r);
        }
        clear_folder(c.folder);
    }
}

Test(checkpoint, a_peer_without_a_file_is_named_to_all)
{
    cut c = {.folder = scratch_folder(), .how = 3};

    peers_run(3, save_twice, &c);
    cr_expect_eq(c.code[1], WEFT_EIO, "%s", c.text[1]);
    for (int r = 0; r < 3; r += 2) {
        cr_expect_eq(c.code[r], WEFT_EINVAL, "%s", c.text[r]);
        cr_expect_not_null(strstr(c.text[r], "rank 1"), "%s", c.text[r]);
        cr_expect_eq(c.steps[r], 7);
    }
    clear_folder(c.folder);
}

static void save_in_the_way(weft_group *group, int rank, void *user)
{
    cut *c = user;
    const weft_optim_opts opts = {.size = sizeof(opts), .lr = "0.1"};
    weft_optim *o = NULL;
    float x[SMALL] = {0}, g[SMALL] = {1.0f, 2.0f, 4.0f};
    char path[128], before[160];
    int code = weft_optim_open(&o, group, "gd", SMALL, &opts);

    snprintf(path, sizeof(path), "%s/%d", c->folder, rank);
    snprintf(before, sizeof(before), "%s.before", path);
    if (rank == 1 && mkdir(before, 0700) != 0) {
        code = WEFT_EINTERNAL;
    }
    if (code == WEFT_OK) {
        code = weft_optim_save(o, x, path);
        code = code == WEFT_EIO && access(path, F_OK) != 0 ? WEFT_OK : WEFT_EINTERNAL;
    }
    if (code == WEFT_OK) {
        code = weft_optim_step(o, x, g);
    }
    c->code[rank] = code;
    c->steps[rank] = weft_optim_steps(o);
    snprintf(c->text[rank], sizeof(c->text[rank]), "%s", weft_last_error()->message);
    (void)rmdir(before);
    weft_optim_close(&o);
}

Test(checkpoint, what_is_in_the_way_of_one_fails_the_save_of_all_and_no_step)
{
    cut c = {.folder = scratch_folder()};

    peers_run(3, save_in_the_way, &c);
    for (int r = 0; r < 3; r++) {
        cr_expect_eq(c.code[r], WEFT_OK, "rank %d: %s", r, c.text[r]);
        cr_expect_eq(c.steps[r], 1);
    }
    clear_folder(c.folder);
}

static void mix(weft_group *group, int rank, void *user)
{
    cut *c = user;
    const weft_optim_opts opts = {.size = sizeof(opts), .lr = "0.1"};
    weft_optim *o = NULL;
    float x[SMALL] = {0}, g[SMALL] = {1.0f, 2.0f, 4.0f};
    char path[128];
    int code = weft_optim_open(&o, group, "gd", SMALL, &opts);

    for (int k = 0; code == WEFT_OK && k < 2; k++) {
        snprintf(path, sizeof(path), "%s/%d.%d", c->folder, rank, k);
        code = weft_optim_step(o, x, g);
        code = code == WEFT_OK ? weft_optim_save(o, x, path) : code;
    }
    snprintf(path, sizeof(path), "%s/%d.%d", c->folder, rank, rank == 1);
    c->code[rank] = code == WEFT_OK ? weft_optim_load(o, x, path) : WEFT_EINTERNAL;
    c->steps[rank] = weft_optim_steps(o);
    snprintf(c->text[rank], sizeof(c->text[rank]), "%s", weft_last_error()->message);
    weft_optim_close(&o);
}

Test(checkpoint, files_of_two_saves_are_not_mixed)
{
    cut c = {.folder = scratch_folder()};

    peers_run(3, mix, &c);
    for (int r = 0; r < 3; r++) {
        cr_expect_eq(c.code[r], WEFT_EINVAL, "%s", c.text[r]);
        cr_expect_not_null(strstr(c.text[r], "no one save"), "%s", c.text[r]);
        cr_expect_eq(c.steps[r], 2);
    }
    clear_folder(c.folder);
}

/* --- places that cannot be written --------------------------------------------------------- */

typedef struct bad_place {
    const char *folder;
    char path[5000]; /* of rank 1's second save */
    int load;        /* 1: it is loaded from there instead */
    int code[2], again[2], kept;
    char text[2][512];
} bad_place;

static void save_badly(weft_group *group, int rank, void *user)
{
    bad_place *b = user;
    const weft_optim_opts opts = {.size = sizeof(opts), .lr = "0.1"};
    weft_optim *o = NULL;
    float x[SMALL] = {0}, g[SMALL] = {1.0f, 2.0f, 4.0f};
    unsigned char first[2048], second[2048];
    char path[128];

    snprintf(path, sizeof(path), "%s/%d", b->folder, rank);
    int code = weft_optim_open(&o, group, "gd", SMALL, &opts);
    code = code == WEFT_OK ? weft_optim_step(o, x, g) : code;
    code = code == WEFT_OK ? weft_optim_save(o, x, path) : code;
    const size_t n = slurp(path, first, sizeof(first));
    if (code == WEFT_OK) {
        const char *to = rank == 1 ? b->path : path;
        b->code[rank] = b->load ? weft_optim_load(o, x, to) : weft_optim_save(o, x, to);
        snprintf(b->text[rank], sizeof(b->text[rank]), "%s", weft_last_error()->message);
        code = weft_optim_step(o, x, g);
    }
    if (rank == 0) {
        b->kept = n > 0 && slurp(path, second, sizeof(second)) == n && !memcmp(first, second, n);
    }
    b->again[rank] = code;
    weft_optim_close(&o);
}

static void expect_bad(bad_place *b, int code, const char *word, int files)
{
    peers_run(2, save_badly, b);
    cr_expect_eq(b->code[1], code, "%s: %s", weft_status_name(b->code[1]), b->text[1]);
    cr_expect_eq(b->code[0], b->load ? WEFT_EINVAL : WEFT_EIO, "%s", b->text[0]);
    cr_expect_not_null(strstr(b->text[1], word), "\"%s\" does not say \"%s\"", b->text[1], word);
    cr_expect_not_null(strstr(b->text[0], b->load ? "rank 1" : "another peer"), "%s", b->text[0]);
    cr_expect(b->kept, "%s: rank 0's file is another one", word);
    cr_expect_eq(files_in(b->folder, 0), files, "%s: something is left", word);
    for (int r = 0; r < 2; r++) {
        cr_expect_eq(b->again[r], WEFT_OK, "%s: rank %d cannot go on: %s", word, r,
                     weft_status_name(b->again[r]));
    }
}

Test(checkpoint, a_place_that_cannot_be_written_fails_the_save_and_keeps_the_files)
{
    static bad_place b;
    struct stat st;

    b = (bad_place){.folder = scratch_folder()};
    snprintf(b.path, sizeof(b.path), "%s/nowhere/1", b.folder);
    expect_bad(&b, WEFT_EIO, "nowhere/1", 2);
    snprintf(b.path, sizeof(b.path), "%s/folder", b.folder);
    cr_assert_eq(mkdir(b.path, 0755), 0);
    files_in(b.folder, 0);
    expect_bad(&b, WEFT_EIO, "no file", 3 + 2); /* and .before of both, by the second good save */
    cr_expect(stat(b.path, &st) == 0 && S_ISDIR(st.st_mode), "the folder was moved away");
    memset(b.path, 'a', sizeof(b.path) - 1);
    expect_bad(&b, WEFT_EIO, "longer than 4095", 5);
    memcpy(b.path, "/tmp/", 5);
    b.path[4095 - 3] = '\0'; /* without .before it would not be too long */
    expect_bad(&b, WEFT_EIO, "longer than 4095", 5);
    clear_folder(b.folder);
}

Test(checkpoint, what_is_no_file_is_not_read)
{
    static bad_place b;

    b = (bad_place){.folder = scratch_folder(), .load = 1};
    snprintf(b.path, sizeof(b.path), "%s/pipe", b.folder);
    cr_assert_eq(mkfifo(b.path, 0600), 0);
    expect_bad(&b, WEFT_EIO, "no regular file", 3);
    snprintf(b.path, sizeof(b.path), "%s", b.folder);
    expect_bad(&b, WEFT_EIO, "no regular file", 5);
    memset(b.path, 'a', sizeof(b.path) - 1);
    expect_bad(&b, WEFT_EIO, "longer than 4095", 5);
    clear_folder(b.folder);
}
