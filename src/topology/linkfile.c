/* SPDX-License-Identifier: Apache-2.0 */
#include "topology/linkfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/spec.h"
#include "base/status.h"
#include <weft/topology.h>

enum { WORDS = 4, WORD = 40 };

/* The words of a line: copies, since the text is not ended by NUL. */
typedef struct line_words {
    char word[WORDS][WORD];
    int count;
} line_words;

static int fail_line(const weft_linkfile *f, int line)
{
    return weft_fail_context("%s: line %d", f->name, line);
}

/* Cut a line, without its comment, into words. */
static int split(const weft_linkfile *f, int line, const char *text, size_t len, line_words *ret)
{
    const char *hash = memchr(text, '#', len);
    size_t at = 0;
    len = hash ? (size_t)(hash - text) : len;
    ret->count = 0;
    for (;;) {
        while (at < len && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r'))
            at++;
        if (at == len)
            return WEFT_OK;
        const size_t begin = at;
        while (at < len && text[at] != ' ' && text[at] != '\t' && text[at] != '\r')
            at++;
        const int shown = at - begin < WORD ? (int)(at - begin) : WORD - 1;
        if (ret->count == WORDS)
            return weft_fail(WEFT_EINVAL,
                             "%s: line %d: \"%.*s\" is a word too many: two ranks, rate, "
                             "latency",
                             f->name, line, shown, text + begin);
        if (at - begin >= WORD || memchr(text + begin, '\0', at - begin))
            return weft_fail(WEFT_EINVAL,
                             "%s: line %d: \"%.*s\" is neither rank nor rate nor latency", f->name,
                             line, shown, text + begin);
        memcpy(ret->word[ret->count], text + begin, at - begin);
        ret->word[ret->count++][at - begin] = '\0';
    }
}

static int read_peers(weft_linkfile *f, int line, const line_words *w)
{
    long long peers = 0;
    if (w->count != 2)
        return weft_fail(WEFT_EINVAL, "%s: line %d: peers: how many, and nothing else", f->name,
                         line);
    if (f->peers || f->count)
        return weft_fail(WEFT_EINVAL, "%s: line %d: peers: only the first line may say", f->name,
                         line);
    if (weft_parse_int("peers", w->word[1], 1, WEFT_GRAPH_PEERS, &peers) != WEFT_OK)
        return fail_line(f, line);
    f->peers = (int)peers;
    return WEFT_OK;
}

static int read_rank(weft_linkfile *f, const char *word, int line, int *ret)
{
    const int most = (f->peers ? f->peers : WEFT_GRAPH_PEERS) - 1;
    long long rank = 0;
    if (weft_parse_int("rank", word, 0, most, &rank) != WEFT_OK)
        return fail_line(f, line);
    if (rank > f->most) {
        f->most = (int)rank;
        f->most_line = line;
    }
    *ret = (int)rank;
    return WEFT_OK;
}

static int read_entry(weft_linkfile *f, int line, const line_words *w)
{
    weft_link_entry e = {.line = line, .given = w->count - 2};
    if (w->count < 2)
        return weft_fail(WEFT_EINVAL, "%s: line %d: one rank, an edge has two", f->name, line);
    if (read_rank(f, w->word[0], line, &e.a) != WEFT_OK ||
        read_rank(f, w->word[1], line, &e.b) != WEFT_OK)
        return WEFT_EINVAL;
    if (e.a == e.b)
        return weft_fail(WEFT_EINVAL, "%s: line %d: rank %d has an edge to itself", f->name, line,
                         e.a);
    if ((e.given > 0 && weft_rate_parse(w->word[2], &e.values.rate) != WEFT_OK) ||
        (e.given > 1 && weft_latency_parse(w->word[3], &e.values.latency) != WEFT_OK))
        return fail_line(f, line);
    if (f->count == WEFT_LINKFILE_ENTRIES)
        return weft_fail(WEFT_EINVAL, "%s: line %d: more than %d edges", f->name, line,
                         (int)WEFT_LINKFILE_ENTRIES);
    if (!weft_grow((void **)&f->entries, &f->cap, f->count + 1, sizeof(*f->entries)))
        return weft_fail(WEFT_ENOMEM, "%s: out of memory", f->name);
    f->entries[f->count++] = e;
    return WEFT_OK;
}

int weft_linkfile_parse(weft_linkfile *ret, const char *name, const char *text, size_t len)
{
    weft_linkfile f = {.most = -1};
    const size_t name_len = strlen(name), room = sizeof(f.name) - 1;
    int code = WEFT_OK;
    snprintf(f.name, sizeof(f.name), "%s", name_len > room ? name + name_len - room : name);
    for (int line = 1; code == WEFT_OK && len > 0; line++) {
        const char *end = memchr(text, '\n', len);
        const size_t length = end ? (size_t)(end - text) : len, all = length + (end != NULL);
        line_words w;
        code = split(&f, line, text, length, &w);
        if (code == WEFT_OK && w.count > 0)
            code = strcmp(w.word[0], "peers") == 0 ? read_peers(&f, line, &w)
                                                   : read_entry(&f, line, &w);
        text += all;
        len -= all;
    }
    if (code == WEFT_OK)
        *ret = f;
    else
        weft_linkfile_free(&f);
    return code;
}

void weft_linkfile_free(weft_linkfile *f)
{
    weft_free(f->entries);
    f->entries = NULL;
    f->count = f->cap = 0;
}

/* All of an open file into *ret (weft_free). At most the bytes that it had when it was looked at.
 */
static int read_all(int fd, const char *path, char **ret, size_t *ret_len)
{
    struct stat s;
    if (fstat(fd, &s) != 0)
        return weft_fail(WEFT_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(s.st_mode))
        return weft_fail(WEFT_EIO, "%s: is no regular file", path);
    if (s.st_size > WEFT_LINKFILE_BYTES)
        return weft_fail(WEFT_EINVAL, "%s: %lld bytes, at most %d", path, (long long)s.st_size,
                         (int)WEFT_LINKFILE_BYTES);
    char *text = weft_alloc((size_t)s.st_size);
    if (!text)
        return weft_fail(WEFT_ENOMEM, "%s: out of memory", path);
    size_t len = 0;
    while (len < (size_t)s.st_size) {
        const ssize_t got = read(fd, text + len, (size_t)s.st_size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            weft_free(text);
            return weft_fail(WEFT_EIO, "%s: %s", path, strerror(errno));
        }
        if (got == 0)
            break;
        len += (size_t)got;
    }
    *ret = text;
    *ret_len = len;
    return WEFT_OK;
}

int weft_linkfile_open(weft_linkfile *ret, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait */
    if (fd < 0)
        return weft_fail(WEFT_EIO, "%s: %s", path, strerror(errno));
    int code = read_all(fd, path, &text, &len);
    close(fd);
    if (code == WEFT_OK) {
        code = weft_linkfile_parse(ret, path, text, len);
        weft_free(text);
    }
    return code;
}

int weft_linkfile_peers(const weft_linkfile *f, int wanted, int most, int *ret)
{
    const int told = f->peers ? f->peers : f->most + 1;
    const int peers = wanted ? wanted : told;
    if (wanted && f->peers && wanted != f->peers)
        return weft_fail(WEFT_EINVAL, "%s: is of %d peers, not %d", f->name, f->peers, wanted);
    if (peers <= f->most)
        return weft_fail(WEFT_EINVAL, "%s: line %d: rank %d of %d peers", f->name, f->most_line,
                         f->most, peers);
    if (peers < 1 || peers > most)
        return weft_fail(WEFT_EINVAL, "%s: %d peers (1 to %d)", f->name, peers, most);
    *ret = peers;
    return WEFT_OK;
}
