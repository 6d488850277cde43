/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meeting in a folder that all peers see: one file a peer, written beside and renamed, so that
 * readers see all of it or nothing. Foreign, cut, oversized and malformed files are counted and
 * told, never an error: the folder may be anybody's.
 *
 * A process that was killed leaves its file. On its own host the next run sees that the process is
 * gone and removes it; from other hosts this cannot be seen: there each run needs its own job id.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "roster/finder.h"
#include "roster/peer_file.h"

#define BACKOFF_MIN_NS (5 * WEFT_MS)
#define BACKOFF_MAX_NS (100 * WEFT_MS)
#define LEAVE_NS (500 * WEFT_MS) /* longest time for the others to see that this peer gave up */

enum { PATH_TEXT = 1024 };

typedef struct find_file {
    weft_finder finder;
    weft_board *board;
    char folder[512], prefix[WEFT_PEER_FILE_NAME], name[WEFT_PEER_FILE_NAME];
    int64_t backoff_ns;
    uint64_t seen;             /* the board's clock after the last scan */
    size_t malformed, foreign; /* files of the last scan that are none of ours */
    char odd[256 + 80];        /* one of the malformed, and why */
    bool published;
} find_file;

static int folder_error(const find_file *f, const char *what)
{
    return weft_fail(WEFT_EIO, "meeting folder %s: %s: %s", f->folder, what, strerror(errno));
}

/* The folder exists; one of our own making is ours alone. */
static int ensure_folder(const find_file *f)
{
    struct stat st;
    if (mkdir(f->folder, 0700) != 0 && errno != EEXIST)
        return folder_error(f, "cannot make it");
    if (stat(f->folder, &st) != 0)
        return folder_error(f, "cannot look at it");
    if (!S_ISDIR(st.st_mode))
        return weft_fail(WEFT_EIO, "meeting folder %s: it is no folder", f->folder);
    if (f->board->m->own_folder && (lstat(f->folder, &st) != 0 || !S_ISDIR(st.st_mode) ||
                                    st.st_uid != geteuid() || (st.st_mode & 077) != 0))
        return weft_fail(WEFT_EIO,
                         "meeting folder %s: somebody else made it, or others may write there: "
                         "set WEFT_MEET",
                         f->folder);
    return WEFT_OK;
}

static void path_of(const find_file *f, const char *name, char out[PATH_TEXT])
{
    snprintf(out, PATH_TEXT, "%s/%s", f->folder, name);
}

static int write_file(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    size_t done = 0;
    while (done < len) {
        ssize_t put = write(fd, text + done, len - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    int saved = errno;
    if (close(fd) != 0 || done < len) {
        if (done < len)
            errno = saved;
        return -1;
    }
    return 0;
}

static int publish(weft_finder *finder)
{
    find_file *f = (find_file *)finder;
    char text[WEFT_PEER_FILE_MAX], path[PATH_TEXT], draft[PATH_TEXT + 8];
    size_t len = weft_peer_file_format(&f->board->known[0], f->board->m, text);
    if (len == 0)
        return weft_fail(WEFT_EINTERNAL, "meeting folder %s: entry too long", f->folder);
    path_of(f, f->name, path);
    snprintf(draft, sizeof(draft), "%s.new", path);
    /* Another peer of the job that gave up may have removed the empty folder just now. */
    for (int tries = 0; tries < 3; tries++) {
        int status = ensure_folder(f);
        if (status != WEFT_OK)
            return status;
        if (write_file(draft, text, len) == 0 && rename(draft, path) == 0) {
            f->published = true;
            return WEFT_OK;
        }
        if (errno != ENOENT)
            break;
    }
    int status = folder_error(f, "cannot write into it");
    unlink(draft);
    return status;
}

/* A regular file of bounded size, all of it. -1: *why says why, NULL when it is not there. */
static ssize_t read_file(const char *path, char out[WEFT_PEER_FILE_MAX + 1], const char **why)
{
    struct stat st;
    *why = NULL;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        if (errno != ENOENT)
            *why = "it cannot be opened";
        return -1;
    }
    ssize_t len = -1;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        *why = "it is no plain file";
    } else if (st.st_size > WEFT_PEER_FILE_MAX) {
        *why = "it is too long";
    } else {
        size_t done = 0;
        ssize_t got;
        do {
            got = read(fd, out + done, WEFT_PEER_FILE_MAX + 1 - done);
            if (got > 0)
                done += (size_t)got;
        } while ((got > 0 && done <= WEFT_PEER_FILE_MAX) || (got < 0 && errno == EINTR));
        if (got < 0)
            *why = "it cannot be read";
        else if (done > WEFT_PEER_FILE_MAX)
            *why = "it is too long";
        else
            len = (ssize_t)done;
    }
    close(fd);
    return len;
}

/* Written by a process of this host that is no more. */
static bool is_stale(const find_file *f, const weft_known *k)
{
    return memcmp(k->entry.host, f->board->known[0].entry.host, sizeof(k->entry.host)) == 0 &&
           weft_process_dead(&k->process);
}

static void remove_stale(const find_file *f, const char *path)
{
    unlink(path);
    weft_log_write(f->board->m->log, WEFT_LOG_INFO, "meeting: removed %s of a process that is gone",
                   path);
}

/* Read one file of this job. 1: an entry; 0: none; negative: what ends the meeting. */
static int load(find_file *f, const char *name, weft_known *ret)
{
    char path[PATH_TEXT], text[WEFT_PEER_FILE_MAX + 1], expected[WEFT_PEER_FILE_NAME];
    const char *why = NULL;
    path_of(f, name, path);
    ssize_t len = read_file(path, text, &why);
    int status = 0;
    if (len >= 0)
        status = weft_peer_file_parse(text, (size_t)len, f->board->m, ret, &why);
    if (status == WEFT_EINVAL && is_stale(f, ret)) {
        remove_stale(f, path);
        return 0;
    }
    if (status > 0) {
        weft_peer_file_name(f->board->m->job, ret->entry.uuid, expected);
        if (strcmp(expected, name) != 0) {
            status = 0;
            why = "its name and its \"uuid\" differ";
        }
    }
    if (status < 0)
        return weft_fail_context("meeting file %s", path);
    if (status == 0 && why) {
        f->malformed++;
        snprintf(f->odd, sizeof(f->odd), "%s: %s", name, why);
    }
    return status;
}

/* Does it name an entry of this job? Counts those of other jobs. */
static bool is_ours(find_file *f, const char *name)
{
    size_t len = strlen(name);
    if (len < 5 || strcmp(name + len - 5, ".peer") != 0)
        return false;
    if (strncmp(name, f->prefix, strlen(f->prefix)) == 0)
        return true;
    f->foreign++;
    return false;
}

/* Those whose file is gone. A folder that changes while it is read may hide one: ask for it. */
static void find_vanished(find_file *f, const bool *there, size_t count)
{
    char name[WEFT_PEER_FILE_NAME], path[PATH_TEXT];
    struct stat st;
    for (size_t i = 1; i < count; i++) {
        weft_known *k = &f->board->known[i];
        if (there[i] || k->state != WEFT_KNOWN_HERE)
            continue;
        weft_peer_file_name(f->board->m->job, k->entry.uuid, name);
        path_of(f, name, path);
        if (lstat(path, &st) == 0 || errno != ENOENT)
            continue;
        k->state = WEFT_KNOWN_VANISHED;
        weft_board_touch(f->board, k);
    }
}

/* Read the whole folder onto the board. */
static int scan(find_file *f)
{
    size_t before = f->malformed, known = f->board->count;
    DIR *dir = opendir(f->folder);
    if (!dir && errno == ENOENT)
        return f->published ? publish(&f->finder) : WEFT_OK;
    if (!dir)
        return folder_error(f, "cannot read it");
    int status = WEFT_OK;
    bool self_there = false;
    bool *there = weft_calloc(weft_board_limit(f->board->m->peers), sizeof(*there));
    if (!there)
        status = weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    f->malformed = f->foreign = 0;
    for (struct dirent *d; status == WEFT_OK && (d = readdir(dir)) != NULL;) {
        weft_known news;
        if (!is_ours(f, d->d_name))
            continue;
        if (strcmp(d->d_name, f->name) == 0) {
            self_there = true;
            continue;
        }
        status = load(f, d->d_name, &news);
        if (status <= 0)
            continue;
        status = weft_board_learn(f->board, &news);
        weft_known *k = weft_board_find(f->board, news.entry.uuid);
        if (k && (size_t)(k - f->board->known) < weft_board_limit(f->board->m->peers))
            there[k - f->board->known] = true;
        if (status > 0)
            status = WEFT_OK;
    }
    closedir(dir);
    if (status == WEFT_OK)
        find_vanished(f, there, known);
    weft_free(there);
    if (status == WEFT_OK && f->published && !self_there)
        status = publish(&f->finder);
    if (f->malformed > before)
        weft_log_write(f->board->m->log, WEFT_LOG_WARN,
                       "meeting folder %s: %zu files ignored, one of them %s", f->folder,
                       f->malformed, f->odd);
    return status;
}

/* Before this peer shows itself, entries of dead processes are of runs that ended. An entry that
 * ends the meeting ends it later, when the others can see that this peer was here. */
static int sweep(find_file *f)
{
    int status = scan(f);
    if (status != WEFT_OK && status != WEFT_EINVAL && status != WEFT_EVERSION)
        return status;
    for (size_t i = 1; i < f->board->count; i++) {
        char name[WEFT_PEER_FILE_NAME], path[PATH_TEXT];
        if (!is_stale(f, &f->board->known[i]))
            continue;
        weft_peer_file_name(f->board->m->job, f->board->known[i].entry.uuid, name);
        path_of(f, name, path);
        remove_stale(f, path);
        f->board->known[i] = f->board->known[--f->board->count];
        i--;
    }
    return WEFT_OK;
}

static void close_file(weft_finder **finder)
{
    weft_free(*finder);
    *finder = NULL;
}

static int open_file(weft_finder **ret, weft_board *board, weft_link *link)
{
    (void)link;
    const char *folder = board->m->meet + strlen("file://");
    size_t len = strlen(folder);
    if (folder[0] != '/' || len < 2)
        return weft_fail(WEFT_EINVAL, "meeting place \"%s\": expected file:// and an absolute path",
                         board->m->meet);
    find_file *f = weft_calloc(1, sizeof(*f));
    if (!f)
        return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    f->finder.type = &weft_finder_file;
    f->board = board;
    while (len > 1 && folder[len - 1] == '/')
        len--;
    snprintf(f->folder, sizeof(f->folder), "%.*s", (int)len, folder);
    weft_peer_file_prefix(board->m->job, f->prefix);
    weft_peer_file_name(board->m->job, board->known[0].entry.uuid, f->name);
    int status = ensure_folder(f);
    if (status == WEFT_OK)
        status = sweep(f);
    if (status != WEFT_OK) {
        weft_free(f);
        return status;
    }
    *ret = &f->finder;
    return WEFT_OK;
}

static void pause_until(int64_t until_ns)
{
    struct timespec at = {.tv_sec = (time_t)(until_ns / (1000 * WEFT_MS)),
                          .tv_nsec = (long)(until_ns % (1000 * WEFT_MS))};
    /* A signal's handler has run: go on waiting. */
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static int wait_file(weft_finder *finder, int64_t until_ns)
{
    find_file *f = (find_file *)finder;
    int64_t next = weft_now() + f->backoff_ns;
    if (f->backoff_ns > 0)
        pause_until(next < until_ns ? next : until_ns);
    int status = scan(f);
    if (f->board->clock != f->seen)
        f->backoff_ns = BACKOFF_MIN_NS;
    else
        f->backoff_ns = 2 * f->backoff_ns > BACKOFF_MAX_NS ? BACKOFF_MAX_NS : 2 * f->backoff_ns;
    f->seen = f->board->clock;
    return status;
}

static int finish(weft_finder *finder, weft_roster *ret)
{
    find_file *f = (find_file *)finder;
    char path[PATH_TEXT];
    path_of(f, f->name, path);
    ret->file = weft_strdup(path);
    if (f->board->m->own_folder)
        ret->folder = weft_strdup(f->folder);
    if (!ret->file || (f->board->m->own_folder && !ret->folder))
        return weft_fail(WEFT_ENOMEM, "meeting: out of memory");
    f->published = false;
    return WEFT_OK;
}

/* Nobody waits any more for this one's word. Peers whose entries cannot be taken, of another
 * version or for another number, are not on the board: nothing is known of them. */
static bool all_left(const weft_board *b)
{
    if (b->known[0].code == WEFT_EINVAL || b->known[0].code == WEFT_EVERSION)
        return false;
    for (size_t i = 1; i < b->count; i++)
        if (b->known[i].state == WEFT_KNOWN_HERE)
            return false;
    return true;
}

static void leave(weft_finder *finder, bool urgent)
{
    find_file *f = (find_file *)finder;
    char path[PATH_TEXT];
    int64_t until = weft_now() + LEAVE_NS;
    bool told = urgent && !all_left(f->board) && publish(finder) == WEFT_OK;
    f->published = false;
    while (told && !all_left(f->board) && weft_now() < until) {
        pause_until(weft_now() + BACKOFF_MIN_NS);
        weft_board_reap(f->board, weft_now(), false);
        scan(f); /* what it finds changes nothing any more */
    }
    path_of(f, f->name, path);
    unlink(path);
    if (f->board->m->own_folder)
        rmdir(f->folder);
}

static void describe(const weft_finder *finder, char *out, size_t cap)
{
    const find_file *f = (const find_file *)finder;
    int len = snprintf(out, cap, "tried: folder %s", f->folder);
    if (f->malformed > 0 && len > 0 && (size_t)len < cap)
        len += snprintf(out + len, cap - (size_t)len, " (%zu files ignored, one of them %s)",
                        f->malformed, f->odd);
    if (f->foreign > 0 && len > 0 && (size_t)len < cap)
        snprintf(out + len, cap - (size_t)len, " (%zu entries of other jobs)", f->foreign);
}

const weft_finder_type weft_finder_file = {
    .name = "file",
    .scheme = "file://",
    .summary = "a folder that all peers see, one file a peer: file:///mnt/jobs/7",
    .open = open_file,
    .publish = publish,
    .wait = wait_file,
    .finish = finish,
    .leave = leave,
    .describe = describe,
    .close = close_file,
};
