/* SPDX-License-Identifier: Apache-2.0 */
/* Plan files in memory: read from disk, placed into plans, told apart. */
#include "collectives/plan_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include "collectives/partition.h"

enum { CHUNK = 1 << 16 };

void weft_plan_file_free(weft_plan_file *f)
{
    if (!f)
        return;
    weft_free(f->path);
    weft_free(f->steps);
    weft_free(f->first);
    weft_free(f);
}

static int unreadable(const char *path)
{
    return weft_fail(WEFT_EIO, "plan file %s: %s", path, strerror(errno));
}

/* All of it, or one byte more than a plan file may have. */
static int read_all(const char *path, int fd, char **ret_text, size_t *ret_len)
{
    void *text = NULL;
    size_t cap = 0, len = 0;

    while (len <= WEFT_PLAN_FILE_BYTES) {
        if (!weft_grow(&text, &cap, len + CHUNK, 1)) {
            weft_free(text);
            return weft_fail(WEFT_ENOMEM, "plan file %s: no memory for its text", path);
        }
        const ssize_t got = read(fd, (char *)text + len, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            weft_free(text);
            return unreadable(path);
        }
        if (got == 0)
            break;
        len += (size_t)got;
    }
    *ret_text = text;
    *ret_len = len;
    return WEFT_OK;
}

int weft_plan_file_read(const char *path, weft_plan_file **ret)
{
    /* A pipe that nobody writes would be waited for. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    char *text = NULL;
    size_t len = 0;
    int rc = WEFT_OK;

    if (fd < 0)
        return unreadable(path);
    if (fstat(fd, &status))
        rc = unreadable(path);
    else if (!S_ISREG(status.st_mode))
        rc = weft_fail(WEFT_EINVAL, "plan file %s: it is no regular file", path);
    else
        rc = read_all(path, fd, &text, &len);
    close(fd);
    if (!rc)
        rc = weft_plan_file_parse(path, text, len, ret);
    weft_free(text);
    return rc;
}

uint64_t weft_plan_file_digest(const weft_plan_file *f)
{
    const uint64_t head[] = {(uint64_t)f->coll, (uint64_t)f->peers, (uint64_t)f->root,
                             (uint64_t)f->parts};
    uint64_t digest = weft_hash64(head, sizeof head);

    for (int rank = 0; rank < f->peers; rank++) {
        for (size_t i = f->first[rank]; i < f->first[rank + 1]; i++) {
            const weft_file_step *s = &f->steps[i];
            uint64_t row[] = {digest,
                              (uint64_t)rank,
                              (uint64_t)s->verb | (uint64_t)s->other_first << 8 |
                                  (uint64_t)s->raw << 9 | (uint64_t)s->joined << 10,
                              (uint64_t)s->slot,
                              (uint64_t)s->other,
                              (uint64_t)s->peer,
                              s->block,
                              s->from,
                              s->to,
                              0};
            memcpy(&row[sizeof row / sizeof *row - 1], &s->weight, sizeof s->weight);
            digest = weft_hash64(row, sizeof row);
        }
    }
    return digest;
}

static weft_span span_of(const weft_plan_file *f, const weft_shape *s, const weft_file_step *step)
{
    const weft_span whole = weft_whole(s, step->block);
    weft_span span = whole;

    if (step->from == 0 && step->to == (uint32_t)f->parts)
        return whole;
    if (step->from == (uint32_t)f->parts)
        span.off = whole.count;
    else
        span.off = weft_cut(s, whole, f->parts, (int)step->from).off;
    span.count = 0;
    if (step->to > step->from) {
        const weft_span last = weft_cut(s, whole, f->parts, (int)step->to - 1);
        span.count = last.off + last.count - span.off;
    }
    return span;
}

static void place(const weft_plan_file *f, const weft_shape *s, const weft_file_step *step,
                  weft_plan *p)
{
    switch (step->verb) {
    case WEFT_VERB_PACK:
        weft_plan_pack(p, step->slot, span_of(f, s, step));
        break;
    case WEFT_VERB_SEND:
        weft_plan_send(p, step->slot, step->peer);
        break;
    case WEFT_VERB_RECV:
        (step->raw ? weft_plan_recv_raw : weft_plan_recv)(p, step->slot, step->peer,
                                                          span_of(f, s, step));
        break;
    case WEFT_VERB_FOLD:
        weft_plan_fold(p, step->slot, span_of(f, s, step));
        break;
    case WEFT_VERB_MERGE:
        weft_plan_merge(p, step->slot, step->other, step->other_first);
        break;
    case WEFT_VERB_UNPACK:
        weft_plan_unpack(p, step->slot, span_of(f, s, step));
        break;
    case WEFT_VERB_ADD:
        weft_plan_add(p, step->slot, span_of(f, s, step));
        break;
    case WEFT_VERB_REPLY:
        weft_plan_reply(p, step->slot, span_of(f, s, step));
        break;
    case WEFT_VERB_SCALE:
        weft_plan_scale(p, step->slot, step->weight);
        break;
    default:
        weft_plan_fence(p);
        break;
    }
    if (step->joined)
        weft_plan_joined(p);
}

int weft_plan_file_place(const weft_plan_file *f, const weft_shape *s, weft_plan *p)
{
    const int in = weft_coll_in_blocks(f->coll, f->peers);
    const int out = weft_coll_out_blocks(f->coll, f->peers);

    if (in > 1 || out > 1)
        weft_plan_blocks(p, in, out);
    for (size_t i = f->first[s->rank]; i < f->first[s->rank + 1]; i++)
        place(f, s, &f->steps[i], p);
    return weft_plan_check(p);
}
