/* SPDX-License-Identifier: Apache-2.0 */
#include "failures.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* One write of a record to a pipe is whole: it is shorter than PIPE_BUF. */
typedef struct record {
    int rank, status;
    char text[2048];
} record;
_Static_assert(sizeof(record) <= PIPE_BUF, "records are written at once");

/* A record that came in pieces. */
typedef struct partial {
    char bytes[sizeof(record)];
    size_t len;
} partial;

struct weft_failures {
    const char *command;
    int wire;
    pthread_mutex_t lock;
    record *records;
    size_t count, cap;
    partial *partials; /* of each child */
};

weft_failures *weft_failures_new(const char *command, int wire, int pipes)
{
    weft_failures *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return NULL;
    }
    f->command = command;
    f->wire = wire;
    if (pipes > 0) {
        f->partials = calloc((size_t)pipes, sizeof(*f->partials));
        if (f->partials == NULL) {
            free(f);
            return NULL;
        }
    }
    (void)pthread_mutex_init(&f->lock, NULL);
    return f;
}

void weft_failures_free(weft_failures *f)
{
    if (f != NULL) {
        (void)pthread_mutex_destroy(&f->lock);
        free(f->records);
        free(f->partials);
        free(f);
    }
}

static void print_line(const weft_failures *f, const char *who, const char *text)
{
    (void)fprintf(stderr, "weft %s: %s%s\n", f->command, who, text);
}

static void keep(weft_failures *f, const record *r)
{
    (void)pthread_mutex_lock(&f->lock);
    bool room = f->count < f->cap;
    if (!room) {
        const size_t cap = f->cap == 0 ? 16 : 2 * f->cap;
        record *records = reallocarray(f->records, cap, sizeof(*records));
        if (records != NULL) {
            f->records = records;
            f->cap = cap;
            room = true;
        }
    }
    if (room) {
        f->records[f->count++] = *r;
    } else {
        print_line(f, "", r->text); /* better told twice than never */
    }
    (void)pthread_mutex_unlock(&f->lock);
}

void weft_failures_tell(weft_failures *f, int rank, int status, const char *format, va_list args)
{
    record r = {.rank = rank, .status = status};
    (void)vsnprintf(r.text, sizeof(r.text), format, args);
    if (f->wire < 0 || write(f->wire, &r, sizeof(r)) != (ssize_t)sizeof(r)) {
        keep(f, &r);
    }
}

void weft_failures_note(weft_failures *f, int rank, int status, const char *text)
{
    record r = {.rank = rank, .status = status};
    (void)snprintf(r.text, sizeof(r.text), "%s", text);
    keep(f, &r);
}

void weft_failures_take(weft_failures *f, int rank, const char *bytes, size_t len)
{
    partial *p = &f->partials[rank];
    while (len > 0) {
        const size_t lack = sizeof(p->bytes) - p->len;
        const size_t part = len < lack ? len : lack;
        (void)memcpy(p->bytes + p->len, bytes, part);
        p->len += part;
        bytes += part;
        len -= part;
        if (p->len == sizeof(record)) {
            record r;
            (void)memcpy(&r, p->bytes, sizeof(r));
            r.text[sizeof(r.text) - 1] = '\0';
            r.rank = r.rank < 0 ? rank : r.rank; /* it failed before it knew */
            keep(f, &r);
            p->len = 0;
        }
    }
}

bool weft_failures_has(weft_failures *f, int rank)
{
    bool found = false;
    (void)pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++) {
        found |= f->records[i].rank == rank;
    }
    (void)pthread_mutex_unlock(&f->lock);
    return found;
}

static int by_rank(const void *a, const void *b)
{
    const record *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* "ranks 0-2, 5: " for the records from `first` on that say what it says; marks them told. */
static void name_ranks(record *records, size_t count, size_t first, int peers, char *ret,
                       size_t cap)
{
    char list[256] = "";
    size_t told = 0, at = 0;
    const size_t n = count;
    for (size_t i = first; i < n; i++) {
        if (records[i].status < 0 || strcmp(records[i].text, records[first].text) != 0) {
            continue;
        }
        size_t last = i;
        while (last + 1 < n && records[last + 1].rank == records[last].rank + 1 &&
               strcmp(records[last + 1].text, records[first].text) == 0) {
            last++;
        }
        const size_t left = sizeof(list) - at;
        const int len =
            last > i ? snprintf(list + at, left, "%s%d-%d", told > 0 ? ", " : "", records[i].rank,
                                records[last].rank)
                     : snprintf(list + at, left, "%s%d", told > 0 ? ", " : "", records[i].rank);
        at += len > 0 && (size_t)len < left ? (size_t)len : 0;
        told += last - i + 1;
        for (size_t k = i; k <= last; k++) {
            if (k > first) {
                records[k].status = -1;
            }
        }
        i = last;
    }
    if (peers > 1 && told == (size_t)peers) {
        (void)snprintf(ret, cap, "all ranks: ");
    } else {
        (void)snprintf(ret, cap, "rank%s %s: ", told > 1 ? "s" : "", list);
    }
}

void weft_failures_print(weft_failures *f, int peers)
{
    (void)pthread_mutex_lock(&f->lock);
    if (f->count > 0) {
        (void)fflush(stdout);
        qsort(f->records, f->count, sizeof(*f->records), by_rank);
    }
    for (size_t i = 0; i < f->count; i++) {
        char who[300] = "";
        if (f->records[i].status < 0) {
            continue;
        }
        if (f->records[i].rank >= 0) {
            name_ranks(f->records, f->count, i, peers, who, sizeof(who));
        }
        print_line(f, who, f->records[i].text);
    }
    f->count = 0;
    (void)pthread_mutex_unlock(&f->lock);
}

int weft_exit_worse(int a, int b)
{
    static const int severity[] = {0, 1, 3, 2}; /* by status: done, wrong, usage, lost */
    const int order_a = a >= 0 && a <= 3 ? severity[a] : 4;
    const int order_b = b >= 0 && b <= 3 ? severity[b] : 4;
    return order_a >= order_b ? a : b;
}
