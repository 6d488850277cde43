/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plan files. Whatever the text: it is refused in one line that says something, or it is proved or
 * refused, and what is proved can be built for any lane, and written and read again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "collectives/plan_algo.h"
#include <weft/status.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A proof of more is right, but takes too long for many of them. */
enum { PEERS_MOST = 16, PARTS_MOST = 64, STEPS_MOST = 2000 };

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,                     \
                    weft_last_error()->message);                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Not WEFT_EINTERNAL, for one: a user's mistake is no bug of weft. */
static void check_error(int code)
{
    const weft_error *e = weft_last_error();

    MUST(code == WEFT_EINVAL || code == WEFT_ENOTSUP);
    MUST(e->code == code && strstr(e->message, "plan file fuzz.json: "));
}

static void check_shape(weft_plan_algo *a, weft_shape s, weft_plan *ret)
{
    const weft_algo *row = weft_plan_algo_row(a);

    s.file = a;
    const weft_cost c = row->cost(&s, 4, 4);
    MUST(c.bytes >= 0 && c.bytes < 1e12 && row->parts(&s) >= 1);
    for (s.rank = 0; s.rank < s.size; s.rank++)
        MUST(weft_algo_build(row, &s, &ret[s.rank]) == WEFT_OK);
}

static void free_plans(weft_plan *plans, int size)
{
    for (int rank = 0; rank < size; rank++)
        weft_plan_free(&plans[rank]);
}

static void check_proved(weft_plan_algo *a)
{
    const weft_plan_file *f = weft_plan_algo_file(a);
    const size_t counts[] = {0, 5, 1000}, blocks[] = {0, 1, 64};
    weft_shape s = {.coll = f->coll, .size = f->peers, .root = f->root};
    weft_plan plans[PEERS_MOST];

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
            s.count = counts[i];
            s.block = blocks[b];
            check_shape(a, s, plans);
            free_plans(plans, s.size);
        }
    s.count = (size_t)f->parts;
    s.block = 1;
    check_shape(a, s, plans);
    weft_plan_file *again = NULL;
    weft_plan_algo *proof = NULL;
    char *text = NULL;
    MUST(weft_plan_file_write(f->coll, f->root, plans, "name", NULL, &text) == WEFT_OK);
    free_plans(plans, s.size);
    MUST(weft_plan_file_parse("fuzz.json", text, strlen(text), &again) == WEFT_OK);
    MUST(weft_plan_algo_prove(again, &proof) == WEFT_OK);
    weft_plan_algo_unref(proof);
    weft_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weft_plan_file *f = NULL;
    weft_plan_algo *a = NULL;
    int code = weft_plan_file_parse("fuzz.json", (const char *)data, size, &f);

    if (code != WEFT_OK) {
        check_error(code);
        return 0;
    }
    if (f->peers > PEERS_MOST || f->parts > PARTS_MOST || f->first[f->peers] > STEPS_MOST) {
        weft_plan_file_free(f);
        return 0;
    }
    code = weft_plan_algo_prove(f, &a);
    if (code != WEFT_OK) {
        check_error(code);
        return 0;
    }
    check_proved(a);
    weft_plan_algo_unref(a);
    return 0;
}
