/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"

static const char magic[8] = {'w', 'e', 'f', 't', 'c', 'k', 'p', 't'};

void weft_checkpoint_put(weft_checkpoint *c, const void *data, size_t length)
{
    if (c->failed || !weft_grow((void **)&c->data, &c->room, c->length + length, 1)) {
        c->failed = true;
        return;
    }
    if (length > 0) {
        memcpy(c->data + c->length, data, length);
    }
    c->length += length;
}

void weft_checkpoint_put_number(weft_checkpoint *c, uint64_t value)
{
    uint8_t bytes[8];
    weft_store_little(bytes, value);
    weft_checkpoint_put(c, bytes, sizeof(bytes));
}

void weft_checkpoint_put_text(weft_checkpoint *c, const char *text)
{
    weft_checkpoint_put_number(c, strlen(text));
    weft_checkpoint_put(c, text, strlen(text));
}

const uint8_t *weft_checkpoint_take(weft_checkpoint *c, size_t length)
{
    if (c->failed || length > c->length - c->at) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *found = c->data + c->at;
    c->at += length;
    return found;
}

void weft_checkpoint_order(uint8_t *elements, size_t bytes, size_t count)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < count; i++) {
        for (size_t a = i * bytes, b = a + bytes - 1; a < b; a++, b--) {
            const uint8_t kept = elements[a];
            elements[a] = elements[b];
            elements[b] = kept;
        }
    }
#else
    (void)elements;
    (void)bytes;
    (void)count;
#endif
}

uint64_t weft_checkpoint_number(weft_checkpoint *c)
{
    const uint8_t *p = weft_checkpoint_take(c, 8);
    return p != NULL ? weft_load_little(p) : 0;
}

void weft_checkpoint_text(weft_checkpoint *c, char *out, size_t cap)
{
    const uint64_t length = weft_checkpoint_number(c);
    const uint8_t *p = length < cap ? weft_checkpoint_take(c, length) : NULL;

    c->failed = c->failed || p == NULL;
    if (p != NULL) {
        memcpy(out, p, length);
    }
    out[p != NULL ? length : 0] = '\0';
}

void weft_checkpoint_free(weft_checkpoint *c)
{
    weft_free(c->data);
    *c = (weft_checkpoint){0};
}

static int broken(const char *what, const char *path)
{
    return weft_fail(WEFT_EIO, "checkpoint %s: %s: %s", path, what, strerror(errno));
}

static bool write_all(int fd, const uint8_t *data, size_t length)
{
    while (length > 0) {
        const ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        data += n;
        length -= (size_t)n;
    }
    return true;
}

/* The name of the folder that holds path: where a new name is to be synced. */
static void folder_of(const char *path, char *out, size_t cap)
{
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);

    snprintf(out, cap, "%.*s", (int)length, path);
    if (length == 0) {
        snprintf(out, cap, ".");
    }
}

static int sync_folder(const char *path)
{
    char folder[WEFT_CHECKPOINT_PATH];

    folder_of(path, folder, sizeof(folder));
    const int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int rc = dir < 0 || fsync(dir) != 0 ? broken("cannot sync its folder", path) : WEFT_OK;
    if (dir >= 0) {
        close(dir);
    }
    return rc;
}

int weft_checkpoint_before(const char *path, char before[WEFT_CHECKPOINT_PATH])
{
    const int n = snprintf(before, WEFT_CHECKPOINT_PATH, "%s" WEFT_CHECKPOINT_BEFORE, path);

    if (n < 0 || n >= WEFT_CHECKPOINT_PATH) {
        return weft_fail(WEFT_EIO,
                         "checkpoint %.40s...: the path, with \"" WEFT_CHECKPOINT_BEFORE
                         "\" behind it, is longer than %d characters",
                         path, WEFT_CHECKPOINT_PATH - 1);
    }
    return WEFT_OK;
}

/* A device or a folder of that name is not to be moved out of the way. */
static int check_place(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0) {
        return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)
                   ? WEFT_OK
                   : weft_fail(WEFT_EIO, "checkpoint %s: there is something that is no file", path);
    }
    return errno == ENOENT ? WEFT_OK : broken("cannot look at its place", path);
}

int weft_checkpoint_write(const weft_checkpoint *body, const char *path, char **ret_fresh)
{
    uint8_t head[WEFT_CHECKPOINT_HEAD];
    char fresh[WEFT_CHECKPOINT_PATH];
    int rc = weft_checkpoint_before(path, fresh);

    if (rc == WEFT_OK) {
        rc = check_place(path);
    }
    if (rc == WEFT_OK) {
        rc = check_place(fresh);
    }
    if (rc != WEFT_OK) {
        return rc;
    }
    snprintf(fresh, sizeof(fresh), "%s.XXXXXX", path); /* no longer than with .before */
    memcpy(head, magic, sizeof(magic));
    weft_store_little(head + 8, WEFT_CHECKPOINT_VERSION);
    weft_store_little(head + 16, weft_crc32c(0, body->data, body->length));
    weft_store_little(head + 24, body->length);
    const int fd = mkstemp(fresh);
    if (fd < 0) {
        return broken("cannot make a file beside it", path);
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || !write_all(fd, head, sizeof(head)) ||
        !write_all(fd, body->data, body->length) || fsync(fd) != 0) {
        rc = broken("cannot write it", path);
    }
    close(fd);
    if (rc == WEFT_OK) {
        *ret_fresh = weft_strdup(fresh);
        rc = *ret_fresh != NULL ? WEFT_OK : weft_fail(WEFT_ENOMEM, "no memory for a path");
    }
    if (rc != WEFT_OK) {
        unlink(fresh);
    }
    return rc;
}

int weft_checkpoint_place(const char *fresh, const char *path)
{
    char before[WEFT_CHECKPOINT_PATH];
    const int rc = weft_checkpoint_before(path, before);

    if (rc != WEFT_OK) {
        return rc;
    }
    /* A second name, so that there is a file at the path at every moment; where a file has but one,
     * it is missing for one. */
    if (unlink(before) != 0 && errno != ENOENT) {
        return broken("cannot take away the one before the last", path);
    }
    if (link(path, before) != 0 && errno != ENOENT && rename(path, before) != 0) {
        return broken("cannot keep the one before", path);
    }
    if (rename(fresh, path) != 0) {
        return broken("cannot take its place", path);
    }
    return sync_folder(path);
}

int weft_checkpoint_restore(const char *path)
{
    char before[WEFT_CHECKPOINT_PATH];
    const int rc = weft_checkpoint_before(path, before);

    if (rc != WEFT_OK) {
        return rc;
    }
    return rename(before, path) == 0 ? sync_folder(path)
                                     : broken("cannot put back the one before", path);
}

/* Until `length` bytes are there, or the file ends. */
static int read_to(weft_checkpoint *c, int fd, size_t length, const char *path)
{
    while (c->length < length) {
        const ssize_t n = read(fd, c->data + c->length, length - c->length);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return broken("cannot read it", path);
        }
        if (n == 0) {
            break;
        }
        c->length += (size_t)n;
    }
    return WEFT_OK;
}

/* What the head says of the bytes behind it, `behind` of them. */
static int check_head(weft_checkpoint *c, uint64_t behind, const char *path, uint64_t *ret_sum)
{
    const uint8_t *mark = weft_checkpoint_take(c, sizeof(magic));

    if (mark == NULL || memcmp(mark, magic, sizeof(magic)) != 0) {
        return weft_fail(WEFT_EINVAL, "checkpoint %s: is no checkpoint of weft", path);
    }
    const uint64_t version = weft_checkpoint_number(c), sum = weft_checkpoint_number(c);
    const uint64_t length = weft_checkpoint_number(c);
    if (!c->failed && version != WEFT_CHECKPOINT_VERSION) {
        return weft_fail(WEFT_EINVAL, "checkpoint %s: has version %llu, not %d", path,
                         (unsigned long long)version, WEFT_CHECKPOINT_VERSION);
    }
    if (c->failed || length != behind) {
        return weft_fail(WEFT_EINVAL, "checkpoint %s: is cut short, or longer than it says", path);
    }
    *ret_sum = sum;
    return WEFT_OK;
}

/* The head first: what is no checkpoint is not read to its end, however long it is. */
static int read_all(weft_checkpoint *c, int fd, const char *path)
{
    struct stat st;
    uint64_t sum = 0;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return weft_fail(WEFT_EIO, "checkpoint %s: no regular file", path);
    }
    const size_t size = (size_t)st.st_size;
    if (!weft_grow((void **)&c->data, &c->room, WEFT_CHECKPOINT_HEAD, 1)) {
        return weft_fail(WEFT_ENOMEM, "checkpoint %s: no memory", path);
    }
    int rc = read_to(c, fd, WEFT_CHECKPOINT_HEAD, path);
    if (rc == WEFT_OK) {
        rc = check_head(c, size - c->length, path, &sum);
    }
    if (rc == WEFT_OK && !weft_grow((void **)&c->data, &c->room, size, 1)) {
        rc = weft_fail(WEFT_ENOMEM, "checkpoint %s: no memory for its %zu bytes", path, size);
    }
    if (rc == WEFT_OK) {
        rc = read_to(c, fd, size, path);
    }
    if (rc == WEFT_OK && c->length != size) {
        rc = weft_fail(WEFT_EIO, "checkpoint %s: became shorter while it was read", path);
    }
    if (rc == WEFT_OK && weft_crc32c(0, c->data + c->at, c->length - c->at) != sum) {
        rc = weft_fail(WEFT_EINVAL, "checkpoint %s: is damaged: its checksum is another one", path);
    }
    return rc;
}

int weft_checkpoint_read(weft_checkpoint *ret, const char *path)
{
    weft_checkpoint c = {0};
    /* Not blocking: a named pipe is refused, not waited for. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return broken("cannot open it", path);
    }
    int rc = read_all(&c, fd, path);
    close(fd);
    if (rc != WEFT_OK) {
        weft_checkpoint_free(&c);
        return rc;
    }
    *ret = c;
    return WEFT_OK;
}
