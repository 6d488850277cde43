/* SPDX-License-Identifier: Apache-2.0 */
/* Selection, merging, and what a level of gTop-k does; quickselect, to be compared with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "codec/codec.h"
#include "codec/rank.h"
#include "codec/sparse.h"
#include "kernel_speed.h"

static const weft_draw draw = {.seed = 1};
static const weft_stretch all = {.lane_count = SPEED_COUNT, .count = SPEED_COUNT};

static void must(int code)
{
    if (code == WEFT_OK)
        return;
    fprintf(stderr, "kernel_speed: %s\n", weft_last_error()->message);
    exit(1);
}

static void run_select(speed_bench *b, const char *with)
{
    weft_pairs kept = {0};
    must(weft_sparse_select(b->v, SPEED_COUNT, (size_t)atoi(with), 0, &kept));
    weft_pairs_free(&kept);
}

/* Hoare's selection over a copy, the middle of three as pivot: the k-th largest, descending. */
static uint32_t quickselect(uint32_t *v, size_t count, size_t k)
{
    size_t low = 0, high = count - 1;
    while (low < high) {
        const uint32_t a = v[low], m = v[low + (high - low) / 2], z = v[high];
        const uint32_t pivot = a > m ? (m > z ? m : a > z ? z : a) : (a > z ? a : m > z ? z : m);
        size_t i = low, j = high;
        for (;;) {
            while (v[i] > pivot)
                i++;
            while (v[j] < pivot)
                j--;
            if (i >= j)
                break;
            const uint32_t t = v[i];
            v[i++] = v[j];
            v[j--] = t;
        }
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return v[k];
}

static volatile uint32_t found;

static void run_quickselect(speed_bench *b, const char *with)
{
    uint32_t *copy = (uint32_t *)(void *)b->more;
    for (size_t i = 0; i < SPEED_COUNT; i++)
        copy[i] = weft_magnitude(b->v[i]);
    found = quickselect(copy, SPEED_COUNT, (size_t)atoi(with) - 1);
}

/* `with` pairs of the vector, and as many of the vector turned by a third. */
static weft_pairs lists[2];

static void prepare_lists(speed_bench *b, const char *with)
{
    const size_t k = (size_t)atoi(with), turn = SPEED_COUNT / 3;
    for (int i = 0; i < 2; i++)
        lists[i].count = 0;
    must(weft_sparse_select(b->v, SPEED_COUNT, k, 0, &lists[0]));
    memcpy(b->out, b->v + turn, (SPEED_COUNT - turn) * sizeof(float));
    memcpy(b->out + SPEED_COUNT - turn, b->v, turn * sizeof(float));
    must(weft_sparse_select(b->out, SPEED_COUNT, k, 0, &lists[1]));
}

static void run_merge(speed_bench *b, const char *with)
{
    weft_pairs kept = {0};
    (void)b, (void)with;
    must(weft_sparse_merge(&lists[0], &lists[1], SIZE_MAX, 0, &kept, NULL));
    weft_pairs_free(&kept);
}

static weft_codec *opened(const char *with)
{
    char spec[64];
    weft_codec *c = NULL;
    snprintf(spec, sizeof(spec), "topk:k=%s", with);
    must(weft_codec_open(&c, spec));
    return c;
}

/* Both encodings in `bytes`, the second from its middle on. */
static void prepare_level(speed_bench *b, const char *with)
{
    const size_t half = 2 * (size_t)SPEED_COUNT;
    weft_codec *c = opened(with);
    prepare_lists(b, with);
    must(c->type->encode(c, &draw, b->out, &all, b->bytes + half, half, &b->more_len));
    must(c->type->encode(c, &draw, b->v, &all, b->bytes, half, &b->len));
    weft_codec_close(&c);
}

static void run_level(speed_bench *b, const char *with)
{
    size_t len = 0;
    weft_codec *c = opened(with);
    must(c->type->combine(c, &all, b->bytes, b->len, b->bytes + 2 * (size_t)SPEED_COUNT,
                          b->more_len, b->more, &len, NULL));
    weft_codec_close(&c);
}

const speed_row speed_sparse_rows[] = {
    {.name = "select 0.1 %", .ratio = 0.8, .run = run_select, .with = "25000"},
    {.name = "select 1 %", .ratio = 0.8, .run = run_select, .with = "250000"},
    {.name = "quickselect 0.1 %, to compare", .run = run_quickselect, .with = "25000"},
    {.name = "quickselect 1 %, to compare", .run = run_quickselect, .with = "250000"},
    {.name = "merge two lists of 250000 pairs",
     .seconds = 3e-3,
     .prepare = prepare_lists,
     .run = run_merge,
     .with = "250000"},
    {.name = "a level of gTop-k, 250000 pairs each",
     .seconds = 5e-3,
     .prepare = prepare_level,
     .run = run_level,
     .with = "250000"},
    {.name = NULL},
};
