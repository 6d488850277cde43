/* SPDX-License-Identifier: Apache-2.0 */
#include "train_agree.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/collective.h>

#include "train_checksum.h"

/* A setting as it is sent: its text, cut, with the checksum of all of it behind. */
enum { TEXT = 92, WORD = TEXT + 4, MOST = 13 };

/* The settings of one peer, one after the other. */
typedef struct table {
    unsigned char (*words)[WORD];
    const char **names; /* "--steps" */
    size_t count;
} table;

__attribute__((format(printf, 3, 4))) static void put(table *t, const char *name,
                                                      const char *format, ...)
{
    char text[4096];
    uint32_t sum;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sum = weft_train_crc32c(text, strlen(text));
    t->names[t->count] = name;
    snprintf((char *)t->words[t->count], TEXT, "%s", text);
    memcpy(t->words[t->count] + TEXT, &sum, sizeof(sum));
    t->count++;
}

static void put_problem(table *t, const weft_train_settings *s)
{
    put(t, "--run", "%zu times", s->run_count);
    put(t, "--l1", "%.17g", s->l1);
    if (s->l2_auto)
        put(t, "--l2", "auto");
    else
        put(t, "--l2", "%.17g", s->l2);
    put(t, "--shards", "%s", weft_shards_name(s->shards));
    put(t, "--problem", "%s", s->problem);
    put(t, "--test", "%s", s->test != NULL ? "given" : "none");
    if (s->target < 0)
        put(t, "--target", "none");
    else
        put(t, "--target", "%.17g", s->target);
    put(t, "--seed", "%" PRIu64, s->seed);
    put(t, "--dump", "%s", s->dump != NULL ? "given" : "none");
    put(t, "--small", "%zu", s->small);
    put(t, "--load", "%s", s->load != NULL ? "given" : "none");
    put(t, "--save", "%s each %" PRIu64, s->save != NULL ? "given" : "none", s->save_every);
}

static void put_run(table *t, const weft_train_spec *run)
{
    put(t, "--optimizer", "%s", run->optimizer);
    put(t, "--codec", "%s", run->codec != NULL ? run->codec : "the optimizer's");
    put(t, "--reply-codec", "%s", run->reply != NULL ? run->reply : "none");
    put(t, "--fidelity", "%s", run->requantized ? "requantized" : "exact");
    put(t, "--algo", "%s", run->algo != NULL ? run->algo : "the optimizer's");
    put(t, "--lr", "%s", run->lr);
    put(t, "--schedule", "%s", run->schedule);
    if (run->batch == 0)
        put(t, "--batch", "full");
    else
        put(t, "--batch", "%zu", run->batch);
    if (run->epochs > 0)
        put(t, "--epochs", "%" PRIu64, run->epochs);
    else
        put(t, "--steps", "%" PRIu64, run->steps);
    if (run->every > 0)
        put(t, "--every", "%" PRIu64, run->every);
    else
        put(t, "--every", "by default");
}

/* Gather the tables; tell the first difference. where: " in run 2", "". */
static int compare(weft_peer *peer, const table *t, const char *where)
{
    /* The others may still be reading their data. */
    const weft_coll_opts patient = {.size = sizeof(patient), .timeout_ms = WEFT_FOREVER};
    const size_t len = t->count * WORD;
    unsigned char *all = calloc((size_t)peer->size, len);
    int status = 0;

    if (all == NULL)
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
    if (weft_allgather(peer->group, t->words, all, len, WEFT_U8, &patient) != WEFT_OK)
        status = weft_peer_error(peer, "comparing the options");
    for (size_t i = 0; i < t->count && status == 0; i++) {
        for (int r = 1; r < peer->size && status == 0; r++) {
            unsigned char *other = all + (size_t)r * len + i * WORD, *first = all + i * WORD;

            if (memcmp(other, first, WORD) == 0)
                continue;
            other[TEXT - 1] = first[TEXT - 1] = '\0';
            status = weft_peer_fail(peer, WEFT_EXIT_USAGE,
                                    "the options differ%s: rank %d has %s %s, rank 0 %s", where, r,
                                    t->names[i], (char *)other, (char *)first);
        }
    }
    free(all);
    return status;
}

/* Do all peers hold the same data? A file may differ between hosts. */
static int compare_data(weft_peer *peer, const weft_dataset *d)
{
    const uint64_t own[3] = {d->rows, d->dim, weft_dataset_sum(d)};
    uint64_t *all = calloc((size_t)peer->size, sizeof(own));
    int status = 0;

    if (all == NULL)
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
    if (weft_allgather(peer->group, own, all, 3, WEFT_U64, NULL) != WEFT_OK)
        status = weft_peer_error(peer, "comparing the data");
    for (int r = 1; r < peer->size && status == 0; r++) {
        const uint64_t *other = all + 3 * (size_t)r;

        if (memcmp(all, other, sizeof(own)) != 0)
            status = weft_peer_fail(peer, WEFT_EXIT_USAGE,
                                    "%s: rank %d holds other data than rank 0 (%llu rows x %llu, "
                                    "%llu rows x %llu)",
                                    d->path, r, (unsigned long long)other[0],
                                    (unsigned long long)other[1], (unsigned long long)all[0],
                                    (unsigned long long)all[1]);
    }
    free(all);
    return status;
}

int weft_train_agree(weft_peer *peer, const weft_train_settings *s)
{
    unsigned char words[MOST][WORD];
    const char *names[MOST];
    table t = {.words = words, .names = names};
    int status;

    memset(words, 0, sizeof(words));
    put_problem(&t, s);
    status = compare(peer, &t, "");
    for (size_t i = 0; i < s->run_count && status == 0; i++) {
        char where[32] = "";

        if (s->run_count > 1)
            snprintf(where, sizeof(where), " in run %zu", i + 1);
        t.count = 0;
        memset(words, 0, sizeof(words));
        put_run(&t, &s->runs[i]);
        status = compare(peer, &t, where);
    }
    if (status == 0)
        status = compare_data(peer, s->data);
    if (status == 0 && s->test != NULL)
        status = compare_data(peer, s->test);
    return status;
}
