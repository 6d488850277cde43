/* SPDX-License-Identifier: Apache-2.0 */
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct weft_outfile {
    FILE *stream;
    char *path, *part; /* part NULL: written directly */
};

/* What a signal removes. Rank 0 writes one file after the other: there is one at a time. */
static _Atomic(const char *) unfinished;

static void end_by_signal(int number)
{
    const char *part = atomic_load(&unfinished);
    if (part != NULL) {
        (void)unlink(part);
    }
    _exit(128 + number);
}

void weft_outfile_guard(void)
{
    const struct sigaction action = {.sa_handler = end_by_signal};
    sigset_t both;
    (void)sigemptyset(&both);
    (void)sigaddset(&both, SIGINT);
    (void)sigaddset(&both, SIGTERM);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigprocmask(SIG_UNBLOCK, &both, NULL);
}

/* Names that stand for something else than a file of a folder. */
static bool is_direct(const char *path)
{
    struct stat info;
    return strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0 ||
           (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode));
}

static void release(weft_outfile **file)
{
    weft_outfile *f = *file;
    *file = NULL;
    if (f != NULL) {
        free(f->path);
        free(f->part);
        free(f);
    }
}

/* Make the file under its name until it is complete. 0 or errno. */
static int make_part(weft_outfile *f, const char *path)
{
    struct stat info;
    const bool there = stat(path, &info) == 0;
    /* The file that a symbolic link names is replaced, not the link. */
    f->path = there ? realpath(path, NULL) : strdup(path);
    if (f->path == NULL) {
        return errno;
    }
    if (there && S_ISDIR(info.st_mode)) {
        return EISDIR;
    }
    if (there && access(path, W_OK) != 0) {
        return errno;
    }
    if (asprintf(&f->part, "%s.%ld.part", f->path, (long)getpid()) < 0) {
        f->part = NULL;
        return ENOMEM;
    }
    const int fd = open(f->part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        return errno;
    }
    atomic_store(&unfinished, f->part);
    if (there) {
        (void)fchmod(fd, info.st_mode & 0777);
    }
    f->stream = fdopen(fd, "w");
    if (f->stream == NULL) {
        const int error = errno;
        (void)close(fd);
        (void)unlink(f->part);
        atomic_store(&unfinished, NULL);
        return error;
    }
    return 0;
}

int weft_outfile_open(weft_outfile **ret, const char *path)
{
    weft_outfile *f = calloc(1, sizeof(*f));
    int error = ENOMEM;
    if (f == NULL) {
        return error;
    }
    if (is_direct(path)) {
        f->stream = fopen(path, "we");
        error = f->stream != NULL ? 0 : errno;
    } else {
        error = make_part(f, path);
    }
    if (error != 0) {
        release(&f);
        return error;
    }
    *ret = f;
    return 0;
}

FILE *weft_outfile_stream(weft_outfile *file)
{
    return file->stream;
}

int weft_outfile_commit(weft_outfile **file)
{
    weft_outfile *f = *file;
    const bool written = fflush(f->stream) == 0 && ferror(f->stream) == 0;
    int error = written ? 0 : errno != 0 ? errno : EIO;
    if (fclose(f->stream) != 0 && error == 0) {
        error = errno;
    }
    if (f->part != NULL) {
        if (error == 0 && rename(f->part, f->path) != 0) {
            error = errno;
        }
        if (error != 0) {
            (void)unlink(f->part);
        }
        atomic_store(&unfinished, NULL);
    }
    release(file);
    return error;
}

void weft_outfile_drop(weft_outfile **file)
{
    weft_outfile *f = *file;
    if (f != NULL) {
        (void)fclose(f->stream);
        if (f->part != NULL) {
            (void)unlink(f->part);
            atomic_store(&unfinished, NULL);
        }
    }
    release(file);
}

int weft_outfile_check(const char *path)
{
    weft_outfile *file = NULL;
    if (is_direct(path)) {
        return access(path, W_OK) == 0 ? 0 : errno;
    }
    const int error = weft_outfile_open(&file, path);
    weft_outfile_drop(&file);
    return error;
}
