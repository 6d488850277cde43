/* SPDX-License-Identifier: Apache-2.0 */
#include "tune_cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/collective.h>

#include "report.h"

/* By time: at least and at most so many rounds, and until so many seconds are measured. */
enum { ROUNDS_LEAST = 7, ROUNDS_MOST = 201 };
static const double seconds_wanted = 8.0;

enum { RESIDUES = 13 }; /* rank r gives (i + r) mod 13: sums are whole numbers, exact in float32 */

int weft_tune_ask(const weft_query *q, weft_candidate *ret)
{
    weft_explain *e = NULL;
    weft_candidate c = {.size = sizeof(c)};
    int code = weft_explain_open(&e, q);
    if (code != WEFT_OK) {
        return code;
    }
    code = WEFT_ENOTSUP;
    const size_t name = strcspn(q->algo, ":");
    for (int i = 0; code != WEFT_OK && weft_explain_get(e, i, &c); i++) {
        if (c.chosen) {
            *ret = c;
            code = WEFT_OK;
        } else if (strncmp(c.algo, q->algo, name) == 0 && strcspn(c.algo, ":") == name) {
            *ret = c; /* for its reason */
        }
    }
    weft_explain_close(&e);
    return code;
}

static weft_query query_of(const weft_tune *t, const char *algo, size_t bytes, const char *costs)
{
    return (weft_query){.size = sizeof(weft_query),
                        .collective = "allreduce",
                        .algo = algo,
                        .costs = costs,
                        .peers = t->peer->size,
                        .dtype = WEFT_F32,
                        .count = bytes / sizeof(float),
                        .topology = t->topology};
}

/* Those that --algo names, else all that can serve the largest size. Under a launcher peers may be
 * on several hosts, which prices of `hierarchical` depend on and the program does not know. */
static int list_algos(weft_tune *t)
{
    const weft_cli *cli = t->s->cli;
    const int named = weft_cli_list_count(cli, "algo");
    const weft_query q = query_of(t, NULL, t->s->end, t->s->before);
    weft_explain *e = NULL;
    weft_candidate c = {.size = sizeof(c)};
    for (int i = 0; i < named; i++) {
        (void)snprintf(t->algos[t->algo_count++], WEFT_EXPLAIN_ALGO, "%s",
                       weft_cli_list_get(cli, "algo", i));
    }
    if (named > 0) {
        return 0;
    }
    if (weft_explain_open(&e, &q) != WEFT_OK) {
        return weft_peer_error(t->peer, "algorithms");
    }
    for (int i = 0; t->algo_count < WEFT_TUNE_ALGOS && weft_explain_get(e, i, &c); i++) {
        const bool elsewhere =
            t->peer->launch->peers == 0 && strncmp(c.algo, "hierarchical", 12) == 0;
        if (c.why_not[0] == '\0' && !elsewhere) {
            (void)memcpy(t->algos[t->algo_count++], c.algo, sizeof(c.algo));
        }
    }
    weft_explain_close(&e);
    return 0;
}

static void list_sizes(weft_tune *t)
{
    for (double bytes = (double)t->s->begin;
         bytes <= (double)t->s->end && t->size_count < WEFT_TUNE_SIZES; bytes *= t->s->factor) {
        const size_t whole = (size_t)bytes / sizeof(float) * sizeof(float);
        if (t->size_count == 0 || whole > t->sizes[t->size_count - 1]) {
            t->sizes[t->size_count++] = whole;
        }
    }
}

static int add_cell(weft_tune *t, int size, int algo)
{
    weft_candidate c = {.size = sizeof(c)};
    const weft_query q = query_of(t, t->algos[algo], t->sizes[size], t->s->before);
    const int code = weft_tune_ask(&q, &c);
    if (code == WEFT_ENOTSUP && weft_cli_list_count(t->s->cli, "algo") == 0) {
        return 0; /* nobody asked for it */
    }
    if (code == WEFT_ENOTSUP) {
        return weft_peer_fail(t->peer, WEFT_EXIT_USAGE, "algorithm %s %s", t->algos[algo],
                              c.why_not);
    }
    if (code != WEFT_OK) {
        return weft_peer_error(t->peer, t->algos[algo]);
    }
    t->cells[t->cell_count] = (weft_tune_cell){.size = size, .algo = algo, .before = c.seconds};
    t->rows[t->cell_count++] = weft_fit_row_of(&c);
    return 0;
}

/* The constants that there are, from prices: one sender to a rank first, then two. */
static int read_constants(weft_tune *t)
{
    static const char *const algos[] = {"ring", "flat"};
    for (int i = 0; i < 2; i++) {
        weft_candidate c = {.size = sizeof(c)};
        weft_query q = query_of(t, algos[i], 1 << 20, t->s->before);
        q.peers = 3;
        q.topology = NULL;
        if (weft_tune_ask(&q, &c) != WEFT_OK) {
            return weft_peer_error(t->peer, "cost table");
        }
        weft_fit_constants_of(&c, t->constants);
    }
    return 0;
}

int weft_tune_prepare(weft_tune *t)
{
    const weft_tune_settings *s = t->s;
    if (s->topology != NULL &&
        weft_topology_open(&t->topology, s->topology, t->peer->size) != WEFT_OK) {
        return weft_peer_error(t->peer, "WEFT_TOPOLOGY");
    }
    int bad = read_constants(t);
    bad = bad != 0 ? bad : list_algos(t);
    list_sizes(t);
    const size_t most = (size_t)t->size_count * (size_t)t->algo_count;
    const size_t rounds = s->iters > 0 ? (size_t)s->iters : ROUNDS_MOST;
    if (bad != 0 || most == 0) {
        return bad != 0 ? bad : weft_peer_fail(t->peer, WEFT_EXIT_USAGE, "no algorithm can serve");
    }
    t->cells = calloc(most, sizeof(*t->cells));
    t->rows = calloc(most, sizeof(*t->rows));
    t->times = calloc(most * rounds, sizeof(*t->times)); /* 32 × 64 × 10^4 at most */
    t->in = malloc(s->end);
    t->out = malloc(s->end);
    if (t->cells == NULL || t->rows == NULL || t->times == NULL || t->in == NULL ||
        t->out == NULL) {
        return weft_peer_fail(t->peer, WEFT_EXIT_WRONG, "no memory for vectors of %zu bytes",
                              s->end);
    }
    for (size_t i = 0; i < s->end / sizeof(float); i++) {
        t->in[i] = (float)((i + (size_t)t->peer->rank) % RESIDUES);
    }
    (void)memset(t->out, 0, s->end);
    for (size_t i = 0; bad == 0 && i < most; i++) {
        bad = add_cell(t, (int)(i / (size_t)t->algo_count), (int)(i % (size_t)t->algo_count));
    }
    return bad;
}

void weft_tune_release(weft_tune *t)
{
    weft_topology_close(&t->topology);
    free(t->cells);
    free(t->rows);
    free(t->times);
    free(t->in);
    free(t->out);
}

static int run_cell(const weft_tune *t, size_t cell, double *ret_seconds)
{
    const weft_tune_cell *c = &t->cells[cell];
    const weft_coll_opts opts = {.size = sizeof(opts), .algo = t->algos[c->algo]};
    if (weft_barrier(t->peer->group, NULL) != WEFT_OK) {
        return weft_peer_error(t->peer, "barrier before the operation");
    }
    const double start = weft_seconds();
    if (weft_allreduce(t->peer->group, t->in, t->out, t->sizes[c->size] / sizeof(float), WEFT_F32,
                       WEFT_SUM, &opts) != WEFT_OK) {
        return weft_peer_error(t->peer, "allreduce");
    }
    *ret_seconds = weft_seconds() - start;
    return 0;
}

/* Elements of the last result that are not the sum. */
static uint64_t count_wrong(const weft_tune *t, size_t bytes)
{
    float sums[RESIDUES] = {0};
    uint64_t wrong = 0;
    for (int i = 0; i < RESIDUES; i++) {
        for (int rank = 0; rank < t->peer->size; rank++) {
            sums[i] += (float)((i + rank) % RESIDUES);
        }
    }
    for (size_t i = 0; i < bytes / sizeof(float); i++) {
        wrong += t->out[i] != sums[i % RESIDUES];
    }
    return wrong;
}

/* Once through all, not timed: connections are made, results are checked. */
static int warm_up(weft_tune *t)
{
    uint64_t *wrong = calloc(t->cell_count, sizeof(*wrong));
    int bad = 0;
    if (wrong == NULL) {
        return weft_peer_fail(t->peer, WEFT_EXIT_WRONG, "out of memory");
    }
    for (size_t i = 0; bad == 0 && i < t->cell_count; i++) {
        double seconds = 0.0;
        bad = run_cell(t, i, &seconds);
        wrong[i] = bad == 0 ? count_wrong(t, t->sizes[t->cells[i].size]) : 0;
    }
    if (bad == 0 && weft_allreduce(t->peer->group, wrong, wrong, t->cell_count, WEFT_U64, WEFT_SUM,
                                   NULL) != WEFT_OK) {
        bad = weft_peer_error(t->peer, "collecting the check");
    }
    for (size_t i = 0; bad == 0 && i < t->cell_count; i++) {
        if (wrong[i] != 0) {
            bad = weft_peer_fail(t->peer, WEFT_EXIT_WRONG, "%s of %zu bytes: %llu wrong elements",
                                 t->algos[t->cells[i].algo], t->sizes[t->cells[i].size],
                                 (unsigned long long)wrong[i]);
        }
    }
    free(wrong);
    return bad;
}

/* All cells once. Each round begins at another one, so that none always follows the same. */
static int one_round(weft_tune *t, size_t round, double *ret_seconds)
{
    double *times = t->times + round * t->cell_count;
    int bad = 0;
    for (size_t i = 0; bad == 0 && i < t->cell_count; i++) {
        const size_t cell = (i + round) % t->cell_count;
        bad = run_cell(t, cell, &times[cell]);
    }
    /* An operation takes as long as its slowest peer. */
    if (bad == 0 && weft_allreduce(t->peer->group, times, times, t->cell_count, WEFT_F64, WEFT_MAX,
                                   NULL) != WEFT_OK) {
        bad = weft_peer_error(t->peer, "collecting the times");
    }
    for (size_t i = 0; i < t->cell_count; i++) {
        *ret_seconds += times[i];
    }
    return bad;
}

static int take_medians(weft_tune *t)
{
    double *column = calloc(t->rounds + 1, sizeof(*column));
    if (column == NULL) {
        return weft_peer_fail(t->peer, WEFT_EXIT_WRONG, "out of memory");
    }
    for (size_t i = 0; i < t->cell_count; i++) {
        for (size_t round = 0; round < t->rounds; round++) {
            column[round] = t->times[round * t->cell_count + i];
        }
        const double median = weft_median(column, t->rounds);
        t->cells[i].measured = median > 1e-9 ? median : 1e-9; /* the clock's step */
        t->rows[i].seconds = t->cells[i].measured;
    }
    free(column);
    return 0;
}

int weft_tune_measure(weft_tune *t)
{
    const size_t wanted = t->s->iters > 0 ? (size_t)t->s->iters : ROUNDS_MOST;
    double seconds = 0.0; /* the same on all peers: they stop alike */
    int bad = warm_up(t);
    while (bad == 0 && t->rounds < wanted &&
           (t->s->iters > 0 || t->rounds < ROUNDS_LEAST || seconds < seconds_wanted)) {
        if (t->peer->rank == 0) {
            weft_progress("round %zu of %zu cells …", t->rounds + 1, t->cell_count);
        }
        bad = one_round(t, t->rounds, &seconds);
        t->rounds += bad == 0;
    }
    return bad != 0 ? bad : take_medians(t);
}

int weft_tune_price(weft_tune *t, const char *costs)
{
    for (size_t i = 0; i < t->cell_count; i++) {
        weft_tune_cell *cell = &t->cells[i];
        weft_candidate c = {.size = sizeof(c)};
        const weft_query q = query_of(t, t->algos[cell->algo], t->sizes[cell->size], costs);
        if (weft_tune_ask(&q, &c) != WEFT_OK) {
            return weft_peer_error(t->peer, "the new constants");
        }
        cell->after = c.seconds;
    }
    return 0;
}
