/* SPDX-License-Identifier: Apache-2.0 */
#include "libsvm_source.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lzma.h>
#include <zlib.h>

#define CHUNK 65536

enum packing { PLAIN, GZIP, XZ };

struct weft_source {
    char *path;
    FILE *file;
    enum packing packing;
    bool open;  /* the decompressor is set up */
    bool ended; /* nothing more comes out */
    bool input_ended;
    z_stream gzip;
    lzma_stream xz;
    unsigned char packed[CHUNK];
    unsigned char plain[CHUNK];
};

static bool ends_with(const char *text, const char *tail)
{
    const size_t n = strlen(text), m = strlen(tail);

    return n > m && strcmp(text + n - m, tail) == 0;
}

static int fail(char *why, size_t cap, const char *path, const char *reason)
{
    snprintf(why, cap, "%s: %s", path, reason);
    return -1;
}

int weft_source_open(weft_source **ret, const char *path, char *why, size_t cap)
{
    /* 16 + MAX_WBITS: a gzip header is required. 1 GiB: what decoding any preset of xz needs. */
    const uint64_t xz_memory = (uint64_t)1 << 30;
    weft_source *s = calloc(1, sizeof(*s));

    if (s == NULL || (s->path = strdup(path)) == NULL) {
        free(s);
        return fail(why, cap, path, "out of memory");
    }
    s->packing = ends_with(path, ".gz") ? GZIP : ends_with(path, ".xz") ? XZ : PLAIN;
    s->file = fopen(path, "rb");
    if (s->file == NULL) {
        fail(why, cap, path, strerror(errno));
        goto out;
    }
    if (s->packing == GZIP && inflateInit2(&s->gzip, 16 + MAX_WBITS) != Z_OK) {
        fail(why, cap, path, "cannot set up zlib");
        goto out;
    }
    if (s->packing == XZ && lzma_stream_decoder(&s->xz, xz_memory, LZMA_CONCATENATED) != LZMA_OK) {
        fail(why, cap, path, "cannot set up liblzma");
        goto out;
    }
    s->open = true;
    *ret = s;
    return 0;
out:
    weft_source_close(&s);
    return -1;
}

void weft_source_close(weft_source **source)
{
    weft_source *s = *source;

    *source = NULL;
    if (s == NULL)
        return;
    if (s->open && s->packing == GZIP)
        inflateEnd(&s->gzip);
    if (s->open && s->packing == XZ)
        lzma_end(&s->xz);
    if (s->file != NULL)
        fclose(s->file);
    free(s->path);
    free(s);
}

/* Bytes of the file itself: how many, 0 at its end, -1. */
static long read_file(weft_source *s, unsigned char *into, char *why, size_t cap)
{
    const size_t n = fread(into, 1, CHUNK, s->file);

    if (n == 0 && ferror(s->file))
        return fail(why, cap, s->path, strerror(errno));
    return (long)n;
}

static long more_gzip(weft_source *s, char *why, size_t cap)
{
    s->gzip.next_out = s->plain;
    s->gzip.avail_out = CHUNK;
    while (s->gzip.avail_out == CHUNK && !s->ended) {
        int status;

        if (s->gzip.avail_in == 0 && !s->input_ended) {
            const long n = read_file(s, s->packed, why, cap);

            if (n < 0)
                return -1;
            s->input_ended = n == 0;
            s->gzip.next_in = s->packed;
            s->gzip.avail_in = (uInt)n;
        }
        if (s->input_ended && s->gzip.avail_in == 0)
            return fail(why, cap, s->path, "the gzip archive is truncated");
        status = inflate(&s->gzip, Z_NO_FLUSH);
        if (status == Z_STREAM_END) {
            /* gzip files may be concatenated: look whether another member follows. */
            if (s->gzip.avail_in == 0) {
                const long n = read_file(s, s->packed, why, cap);

                if (n < 0)
                    return -1;
                s->gzip.next_in = s->packed;
                s->gzip.avail_in = (uInt)n;
            }
            s->ended = s->gzip.avail_in == 0;
            if (!s->ended && inflateReset(&s->gzip) != Z_OK)
                return fail(why, cap, s->path, "the gzip archive is corrupt");
        } else if (status != Z_OK && status != Z_BUF_ERROR) {
            return fail(why, cap, s->path, "the gzip archive is corrupt");
        }
    }
    return (long)(CHUNK - s->gzip.avail_out);
}

static long more_xz(weft_source *s, char *why, size_t cap)
{
    s->xz.next_out = s->plain;
    s->xz.avail_out = CHUNK;
    while (s->xz.avail_out == CHUNK && !s->ended) {
        lzma_ret status;

        if (s->xz.avail_in == 0 && !s->input_ended) {
            const long n = read_file(s, s->packed, why, cap);

            if (n < 0)
                return -1;
            s->input_ended = n == 0;
            s->xz.next_in = s->packed;
            s->xz.avail_in = (size_t)n;
        }
        status = lzma_code(&s->xz, s->input_ended ? LZMA_FINISH : LZMA_RUN);
        if (status == LZMA_STREAM_END)
            s->ended = true;
        else if (status == LZMA_BUF_ERROR)
            return fail(why, cap, s->path, "the xz archive is truncated");
        else if (status == LZMA_MEMLIMIT_ERROR)
            return fail(why, cap, s->path, "the xz archive needs over 1 GiB to decompress");
        else if (status != LZMA_OK)
            return fail(why, cap, s->path, "the xz archive is corrupt");
    }
    return (long)(CHUNK - s->xz.avail_out);
}

long weft_source_more(weft_source *source, const unsigned char **ret_data, char *why, size_t cap)
{
    long n = 0;

    if (source->packing == PLAIN)
        n = read_file(source, source->plain, why, cap);
    else if (!source->ended)
        n = source->packing == GZIP ? more_gzip(source, why, cap) : more_xz(source, why, cap);
    if (n > 0)
        *ret_data = source->plain;
    return n;
}
