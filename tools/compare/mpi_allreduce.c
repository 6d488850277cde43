/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dense float32 sum allreduce by MPI, timed as `weft bench allreduce` times weft:
 *  - a barrier, then the operation; an operation takes as long as its slowest process;
 *  - warm-ups, then -i operations or, with 0, at least 5, until 0.3 s are measured; median of them;
 *  - out of place the buffers get their values before the first and before the last operation of a
 *    series, in place before each; every element of the last result is checked.
 * malloc is told to keep memory as the program weft tells it: some algorithms allocate.
 *
 *   mpiexec -n P mpi_allreduce [-i ITERS] [-w WARMUPS] [--inplace] BYTES...
 *
 * Rank 0 prints one JSON object a line for every size. Status 1: a result was wrong; 2: bad usage.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

enum { ITERS_LEAST = 5, ITERS_MOST = 20000, PERIOD = 1021, MIB = 1 << 20 };
static const double seconds_wanted = 0.3;

typedef struct job {
    int rank, size;
    long iters, warmups;
    bool inplace;
    float *in, *out;
    int count;
    double *times; /* seconds */
    long cap;
} job;

/* Small whole numbers: their sums are exact in any order. The period is prime: values do not repeat
 * with the cuts of any algorithm. */
static float contribution(int rank, int i)
{
    return (float)((i % PERIOD + 257 * rank) % PERIOD % 11);
}

static void set_buffers(const job *j)
{
    float *const to = j->inplace ? j->out : j->in;
    for (int i = 0; i < j->count; i++) {
        to[i] = contribution(j->rank, i);
    }
    if (!j->inplace) {
        (void)memset(j->out, 0x5a, (size_t)j->count * sizeof(float));
    }
}

static void reduce(const job *j)
{
    (void)MPI_Allreduce(j->inplace ? MPI_IN_PLACE : j->in, j->out, j->count, MPI_FLOAT, MPI_SUM,
                        MPI_COMM_WORLD);
}

/* Operations first … last - 1; their times are alike on all ranks. */
static void iterate(const job *j, long first, long last)
{
    for (long i = first; i < last; i++) {
        if (j->inplace || i == first || i + 1 == last) {
            set_buffers(j);
        }
        (void)MPI_Barrier(MPI_COMM_WORLD);
        const double start = MPI_Wtime();
        reduce(j);
        j->times[i] = MPI_Wtime() - start;
    }
    if (last > first) {
        (void)MPI_Allreduce(MPI_IN_PLACE, j->times + first, (int)(last - first), MPI_DOUBLE,
                            MPI_MAX, MPI_COMM_WORLD);
    }
}

/* Wrong elements on all ranks. */
static long count_wrong(const job *j)
{
    float sums[PERIOD] = {0};
    long wrong = 0;
    for (int i = 0; i < PERIOD; i++) {
        for (int rank = 0; rank < j->size; rank++) {
            sums[i] += contribution(rank, i);
        }
    }
    for (int i = 0; i < j->count; i++) {
        wrong += j->out[i] < sums[i % PERIOD] || j->out[i] > sums[i % PERIOD];
    }
    (void)MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    return wrong;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static long iterations(const job *j)
{
    if (j->iters > 0) {
        iterate(j, 0, j->iters);
        return j->iters;
    }
    double sum = 0.0;
    iterate(j, 0, ITERS_LEAST);
    for (int i = 0; i < ITERS_LEAST; i++) {
        sum += j->times[i];
    }
    const double wanted = seconds_wanted / (sum / ITERS_LEAST);
    const long n = wanted > ITERS_MOST    ? ITERS_MOST
                   : wanted < ITERS_LEAST ? ITERS_LEAST
                                          : (long)wanted;
    iterate(j, ITERS_LEAST, n);
    return n;
}

/* One size. Returns whether the result was right everywhere. */
static bool measure(job *j, size_t bytes)
{
    j->count = (int)(bytes / sizeof(float));
    for (long i = 0; i < j->warmups; i++) {
        set_buffers(j);
        reduce(j);
    }
    const long n = iterations(j);
    const long wrong = count_wrong(j);
    if (j->rank == 0) {
        qsort(j->times, (size_t)n, sizeof(*j->times), by_size);
        const double median = (j->times[(n - 1) / 2] + j->times[n / 2]) / 2;
        (void)printf("{\"algo\": \"%s\", \"peers\": %d, \"size\": %zu, \"iters\": %ld, "
                     "\"p50_us\": %.3f, \"min_us\": %.3f, \"wrong\": %ld}\n",
                     j->inplace ? "in_place" : "out_of_place", j->size,
                     (size_t)j->count * sizeof(float), n, median * 1e6, j->times[0] * 1e6, wrong);
        (void)fflush(stdout);
    }
    return wrong == 0;
}

static bool whole(const char *text, long least, long most, long *ret)
{
    char *end = NULL;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < least || value > most) {
        return false;
    }
    *ret = value;
    return true;
}

static int refuse(const job *j, const char *what, const char *text)
{
    if (j->rank == 0) {
        (void)fprintf(stderr,
                      "mpi_allreduce: %s '%s'\nusage: mpiexec -n P mpi_allreduce [-i ITERS] "
                      "[-w WARMUPS] [--inplace] BYTES...\n",
                      what, text);
    }
    return 2;
}

static int run(job *j, int argc, char **argv)
{
    long most = 0, bytes = 0;
    int first = 1;
    for (; first < argc && argv[first][0] == '-'; first++) {
        const char *option = argv[first];
        if (strcmp(option, "--inplace") == 0) {
            j->inplace = true;
        } else if (strcmp(option, "-i") != 0 && strcmp(option, "-w") != 0) {
            return refuse(j, "unknown option", option);
        } else if (first + 1 == argc ||
                   !whole(argv[++first], 0, 1000000, option[1] == 'i' ? &j->iters : &j->warmups)) {
            return refuse(j, "no number from 0 to 1000000 for", option);
        }
    }
    for (int i = first; i < argc; i++) {
        if (!whole(argv[i], sizeof(float), INT_MAX * (long)sizeof(float), &bytes)) {
            return refuse(j, "no size", argv[i]);
        }
        most = bytes > most ? bytes : most;
    }
    if (most == 0) {
        return refuse(j, "no size", "");
    }
    j->cap = j->iters > 0 ? j->iters : ITERS_MOST;
    j->times = malloc((size_t)j->cap * sizeof(*j->times));
    j->in = malloc((size_t)most);
    j->out = malloc((size_t)most);
    bool right = true;
    if (j->times == NULL || j->in == NULL || j->out == NULL) {
        (void)fprintf(stderr, "mpi_allreduce: no memory for %ld bytes\n", most);
        (void)MPI_Abort(MPI_COMM_WORLD, 3);
        abort(); /* it does not return, but no compiler knows */
    }
    for (int i = first; i < argc; i++) {
        (void)whole(argv[i], sizeof(float), INT_MAX * (long)sizeof(float), &bytes);
        right = measure(j, (size_t)bytes) && right;
    }
    free(j->times);
    free(j->in);
    free(j->out);
    return right ? 0 : 1;
}

int main(int argc, char **argv)
{
    job j = {.warmups = 2};
    (void)mallopt(M_MMAP_THRESHOLD, 32 * MIB);
    (void)mallopt(M_TRIM_THRESHOLD, 512 * MIB);
    (void)mallopt(M_TOP_PAD, 4 * MIB);
    if (MPI_Init(&argc, &argv) != MPI_SUCCESS) {
        return 3;
    }
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &j.rank);
    (void)MPI_Comm_size(MPI_COMM_WORLD, &j.size);
    const int status = run(&j, argc, argv);
    (void)MPI_Finalize();
    return status;
}
