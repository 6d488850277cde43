/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_speed [REPEATS [PART OF A NAME]]: the rate of loops and codecs on one core, beside the
 * rate at which memcpy copies the same 25 million floats. Every run has a memcpy before it and is
 * compared with that one: other work on the machine, and the state of its caches, meet both. Prints
 * medians.
 */
#include "kernel_speed.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "kernel/kernel_table.h"

enum { REPEATS_MOST = 101, ROOM = 4 * SPEED_COUNT + 64 };

static const speed_row *const tables[] = {speed_quant_rows, speed_simple_rows, speed_sparse_rows};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* not what others take of this core */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *v, int count)
{
    qsort(v, (size_t)count, sizeof(*v), by_size);
    return v[count / 2];
}

static void fill(float *v)
{
    weft_rng rng = {.state = 1};
    for (size_t i = 0; i < SPEED_COUNT; i += 2) {
        const double radius = sqrt(-2.0 * log(1.0 - weft_rng_unit(&rng)));
        const double angle = 6.283185307179586 * weft_rng_unit(&rng);
        v[i] = (float)(radius * cos(angle));
        v[i + 1] = (float)(radius * sin(angle));
    }
}

static void measure(const speed_row *row, speed_bench *b, int repeats)
{
    double rate[REPEATS_MOST], ratio[REPEATS_MOST];
    if (row->prepare)
        row->prepare(b, row->with);
    for (int r = 0; r < repeats; r++) {
        double from = now();
        memcpy(b->out, b->v, SPEED_COUNT * sizeof(float));
        __asm__ volatile("" ::"r"(b->out) : "memory");
        const double copied = now() - from;
        from = now();
        row->run(b, row->with);
        __asm__ volatile("" ::"r"(b->out), "r"(b->bytes) : "memory");
        const double ran = now() - from;
        rate[r] = SPEED_COUNT / ran;
        ratio[r] = copied / ran;
    }
    const double elements = median(rate, repeats), times = median(ratio, repeats);
    const double seconds = SPEED_COUNT / elements;
    printf("%-44s %8.2f %8.2f %8.0f %8.2f", row->name, 1e3 * seconds,
           elements * sizeof(float) * 1e-9, elements * 1e-6, times);
    if (row->ratio > 0)
        printf("   %.2f of memcpy%s", row->ratio, times < row->ratio ? ": missed" : "");
    if (row->elements > 0)
        printf("   %.0f M/s%s", row->elements * 1e-6, elements < row->elements ? ": missed" : "");
    if (row->seconds > 0)
        printf("   %.0f ms%s", row->seconds * 1e3, seconds > row->seconds ? ": missed" : "");
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20); /* as the program weft does */
    (void)mallopt(M_TRIM_THRESHOLD, 512 << 20);
    (void)mallopt(M_TOP_PAD, 4 << 20);
    const int repeats = argc > 1 ? atoi(argv[1]) : 11;
    const char *part = argc > 2 ? argv[2] : "";
    float *v = malloc(SPEED_COUNT * sizeof(float));
    speed_bench b = {.v = v,
                     .out = malloc(SPEED_COUNT * sizeof(float)),
                     .bytes = malloc(ROOM),
                     .more = malloc(ROOM)};
    if (repeats < 1 || repeats > REPEATS_MOST || !v || !b.out || !b.bytes || !b.more) {
        fprintf(stderr, "kernel_speed [REPEATS, 1 to %d [PART OF A NAME]]; or out of memory\n",
                REPEATS_MOST);
        return 2;
    }
    fill(v);
    memset(b.out, 0, SPEED_COUNT * sizeof(float));
    memset(b.bytes, 0, ROOM);
    memset(b.more, 0, ROOM);
    printf("%d M floats, loops for %s, medians of %d\n", SPEED_COUNT / 1000000,
           weft_kernels_pick()->name, repeats);
    printf("%-44s %8s %8s %8s %8s   %s\n", "kernel", "ms", "GB/s", "M/s", "memcpys", "to reach");
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
        for (const speed_row *row = tables[t]; row->name; row++)
            if (strstr(row->name, part))
                measure(row, &b, repeats);
    free(v);
    free(b.out);
    free(b.bytes);
    free(b.more);
    return 0;
}
