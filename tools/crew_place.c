/* SPDX-License-Identifier: Apache-2.0 */
/* The folder a crew meets in and the environment it is given. */
#include "crew.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static const char prefix[] = "weft-run-";

static int drop(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    (void)remove(path);
    return 0;
}

static void remove_tree(const char *folder)
{
    (void)nftw(folder, drop, 8, FTW_DEPTH | FTW_PHYS);
}

/* The process that a folder's name says it belongs to, 0: it is none of ours. */
static pid_t owner_of(const char *name)
{
    char *end = NULL;
    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0 ||
        !isdigit((unsigned char)name[sizeof(prefix) - 1])) {
        return 0;
    }
    const long pid = strtol(name + sizeof(prefix) - 1, &end, 10);
    return *end == '-' && strlen(end) == 7 && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* Remove the folders of this user whose owner was killed: it is gone, and so is its lock (a process
 * of another container or host is not seen here, its lock is). */
static void sweep(const char *place)
{
    DIR *all = opendir(place);
    for (struct dirent *entry; all != NULL && (entry = readdir(all)) != NULL;) {
        const pid_t owner = owner_of(entry->d_name);
        if (owner == 0 || kill(owner, 0) == 0 || errno != ESRCH) {
            continue;
        }
        char path[WEFT_FOLDER_TEXT];
        struct stat info;
        const int len = snprintf(path, sizeof(path), "%s/%s", place, entry->d_name);
        const int fd =
            len > 0 && (size_t)len < sizeof(path)
                ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
                : -1;
        if (fd >= 0 && fstat(fd, &info) == 0 && info.st_uid == geteuid() &&
            flock(fd, LOCK_EX | LOCK_NB) == 0) {
            remove_tree(path);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    if (all != NULL) {
        (void)closedir(all);
    }
}

int weft_folder_make(weft_folder *ret)
{
    const char *const places[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
    int error = ENOENT;
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        if (places[i] == NULL || places[i][0] != '/') {
            continue;
        }
        const int len = snprintf(ret->path, sizeof(ret->path), "%s/%s%ld-XXXXXX", places[i], prefix,
                                 (long)getpid());
        if (len < 0 || (size_t)len >= sizeof(ret->path)) {
            error = ENAMETOOLONG;
        } else if (mkdtemp(ret->path) == NULL) {
            error = errno;
        } else {
            /* Held until this process ends, however it does. */
            ret->lock = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (ret->lock >= 0) {
                (void)flock(ret->lock, LOCK_EX | LOCK_NB);
            }
            sweep(places[i]);
            return 0;
        }
    }
    return error;
}

void weft_folder_drop(weft_folder *folder)
{
    remove_tree(folder->path);
    if (folder->lock >= 0) {
        (void)close(folder->lock);
    }
    folder->lock = -1;
}

/* Does an entry "NAME=VALUE" of the environment have the name of this word? */
static bool same_name(const char *entry, const char *word)
{
    const size_t len = strcspn(word, "=");
    return strncmp(entry, word, len) == 0 && entry[len] == '=';
}

char **weft_environment_with(char *const *words)
{
    size_t n = 0, extra = 0, filled = 0;
    while (environ[n] != NULL) {
        n++;
    }
    while (words[extra] != NULL) {
        extra++;
    }
    char **ret = calloc(n + extra + 1, sizeof(*ret));
    for (size_t i = 0; ret != NULL && i < n; i++) {
        bool replaced = false;
        for (size_t k = 0; k < extra; k++) {
            replaced |= same_name(environ[i], words[k]);
        }
        if (!replaced && (ret[filled++] = strdup(environ[i])) == NULL) {
            weft_environment_free(ret);
            return NULL;
        }
    }
    for (size_t k = 0; ret != NULL && k < extra; k++) {
        if (strchr(words[k], '=') != NULL && (ret[filled++] = strdup(words[k])) == NULL) {
            weft_environment_free(ret);
            return NULL;
        }
    }
    return ret;
}

void weft_environment_free(char **environment)
{
    for (char **at = environment; at != NULL && *at != NULL; at++) {
        free(*at);
    }
    free(environment);
}
