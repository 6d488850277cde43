/* SPDX-License-Identifier: Apache-2.0 */
#include "idx.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsvm_source.h"

#define HEADER_MAX 16                 /* magic number and three dimensions */
#define BYTES_MAX ((uint64_t)1 << 40) /* elements of a file */
#define UNSIGNED_BYTE 0x08

typedef struct reader {
    const char *path;
    char *why;
    size_t why_cap;
    weft_source *source;
    const unsigned char *at; /* bytes that are ready */
    size_t ready;
    uint64_t offset; /* of the next byte */
} reader;

/* "file: offset: reason". */
__attribute__((format(printf, 3, 4))) static int fail(reader *r, uint64_t offset,
                                                      const char *format, ...)
{
    char reason[256];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    snprintf(r->why, r->why_cap, "%s: offset %llu: %s", r->path, (unsigned long long)offset,
             reason);
    return -1;
}

/* Have at least one byte ready. 1, 0 at the end, -1. */
static int more(reader *r)
{
    long n;

    if (r->ready > 0)
        return 1;
    n = weft_source_more(r->source, &r->at, r->why, r->why_cap);
    if (n > 0)
        r->ready = (size_t)n;
    return n > 0 ? 1 : (int)n;
}

static void take(reader *r, void *into, size_t count)
{
    memcpy(into, r->at, count);
    r->at += count;
    r->ready -= count;
    r->offset += count;
}

static int read_header(reader *r, unsigned char *header, size_t from, size_t to)
{
    while (from < to) {
        const int got = more(r);
        const size_t count = r->ready < to - from ? r->ready : to - from;

        if (got < 0)
            return -1;
        if (got == 0)
            return fail(r, r->offset, "the file ends within its header of %zu bytes", to);
        take(r, header + from, count);
        from += count;
    }
    return 0;
}

static uint64_t big_endian(const unsigned char *p)
{
    return (uint64_t)p[0] << 24 | (uint64_t)p[1] << 16 | (uint64_t)p[2] << 8 | p[3];
}

/* The header: items and shape. */
static int read_shape(reader *r, weft_idx *idx, int dimensions)
{
    const size_t len = 4 + 4 * (size_t)dimensions;
    unsigned char h[HEADER_MAX] = {0};
    uint64_t total = 1;

    if (read_header(r, h, 0, 4) != 0)
        return -1;
    if (h[0] != 0 || h[1] != 0)
        return fail(r, 0, "no IDX file: it begins with 0x%02x%02x, not 0x0000", h[0], h[1]);
    if (h[2] != UNSIGNED_BYTE)
        return fail(r, 2, "elements of type 0x%02x, unsigned bytes (0x08) are wanted", h[2]);
    if (h[3] != dimensions)
        return fail(r, 3, "%d dimensions, %d are wanted (images have 3, labels 1)", h[3],
                    dimensions);
    if (read_header(r, h, 4, len) != 0)
        return -1;
    idx->shape[0] = idx->shape[1] = 1;
    for (int i = 0; i < dimensions; i++) {
        const uint64_t n = big_endian(h + 4 + 4 * i);

        if (n == 0)
            return fail(r, 4 + 4 * (uint64_t)i, "dimension %d is 0", i + 1);
        if (n > BYTES_MAX / total)
            return fail(r, 4 + 4 * (uint64_t)i, "dimension %d is %llu: more than 2^40 elements",
                        i + 1, (unsigned long long)n);
        total *= n;
        if (i == 0)
            idx->items = (size_t)n;
        else
            idx->shape[i - 1] = (size_t)n;
    }
    idx->item_bytes = idx->shape[0] * idx->shape[1];
    return 0;
}

/* The elements. Memory grows with what is there, not with what the header promises. */
static int read_bytes(reader *r, weft_idx *idx, size_t wanted, bool all)
{
    const uint64_t first = r->offset;
    size_t done = 0, room = 0;

    while (done < wanted) {
        const int got = more(r);
        const size_t count = r->ready < wanted - done ? r->ready : wanted - done;

        if (got < 0)
            return -1;
        if (got == 0)
            return fail(r, r->offset, "the file ends here, its header promises %llu bytes more",
                        (unsigned long long)(idx->items * (uint64_t)idx->item_bytes - done));
        if (done + count > room) {
            const size_t bigger = done + count > wanted / 2 ? wanted : 2 * (done + count);
            unsigned char *bytes = realloc(idx->bytes, bigger);

            if (bytes == NULL)
                return fail(r, r->offset, "out of memory for %zu bytes", bigger);
            idx->bytes = bytes;
            room = bigger;
        }
        take(r, idx->bytes + done, count);
        done += count;
    }
    if (all) {
        const int got = more(r);

        if (got < 0)
            return -1;
        if (got > 0)
            return fail(r, first + wanted, "bytes follow the %zu that the header promises", wanted);
    }
    return 0;
}

int weft_idx_read(weft_idx **ret, const char *path, int dimensions, size_t most,
                  size_t *ret_promised, char *why, size_t cap)
{
    reader r = {.path = path, .why = why, .why_cap = cap};
    weft_idx *idx = calloc(1, sizeof(*idx));
    size_t promised;
    int status = -1;

    if (idx == NULL) {
        snprintf(why, cap, "%s: out of memory", path);
        return -1;
    }
    if (weft_source_open(&r.source, path, why, cap) != 0 || read_shape(&r, idx, dimensions) != 0)
        goto out;
    promised = idx->items;
    if (most > promised) {
        (void)fail(&r, 4, "%zu rows were asked for, the file has %zu", most, promised);
        goto out;
    }
    if (read_bytes(&r, idx, (most > 0 ? most : promised) * idx->item_bytes, most == 0) != 0)
        goto out;
    idx->items = most > 0 ? most : promised;
    if (ret_promised != NULL)
        *ret_promised = promised;
    *ret = idx;
    idx = NULL;
    status = 0;
out:
    weft_source_close(&r.source);
    weft_idx_free(&idx);
    return status;
}

void weft_idx_free(weft_idx **idx)
{
    weft_idx *i = *idx;

    *idx = NULL;
    if (i == NULL)
        return;
    free(i->bytes);
    free(i);
}
