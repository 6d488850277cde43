/* SPDX-License-Identifier: Apache-2.0 */
/* The folder a crew meets in and the environment it is given. */
#include "crew.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int weft_folder_make(char ret[WEFT_FOLDER_TEXT])
{
    const char *const places[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
    int error = ENOENT;
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        if (places[i] == NULL || places[i][0] != '/') {
            continue;
        }
        char path[WEFT_FOLDER_TEXT];
        const int len = snprintf(path, sizeof(path), "%s/weft-XXXXXX", places[i]);
        if (len < 0 || (size_t)len >= sizeof(path)) {
            error = ENAMETOOLONG;
        } else if (mkdtemp(path) == NULL) {
            error = errno;
        } else {
            (void)memcpy(ret, path, (size_t)len + 1);
            return 0;
        }
    }
    return error;
}

static int drop(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    (void)remove(path);
    return 0;
}

void weft_folder_remove(const char *folder)
{
    (void)nftw(folder, drop, 8, FTW_DEPTH | FTW_PHYS);
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
