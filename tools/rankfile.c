/* SPDX-License-Identifier: Apache-2.0 */
#include "rankfile.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are read as they lie");

bool weft_pattern_valid(const char *pattern)
{
    int ranks = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '%') {
            at++;
            ranks += *at == 'd';
            if (*at != 'd' && *at != '%') {
                return false;
            }
        }
    }
    return ranks <= 1 && pattern[0] != '\0';
}

bool weft_pattern_has_rank(const char *pattern)
{
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '%' && *++at == 'd') {
            return true;
        }
    }
    return false;
}

bool weft_pattern_name(const char *pattern, int rank, char ret[WEFT_PATH_TEXT])
{
    size_t len = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        if (len + 16 > WEFT_PATH_TEXT) {
            return false;
        }
        if (*at == '%' && *++at == 'd') {
            len += (size_t)snprintf(ret + len, WEFT_PATH_TEXT - len, "%d", rank);
        } else {
            ret[len++] = *at;
        }
    }
    ret[len] = '\0';
    return true;
}

static int refuse(char why[WEFT_WHY_TEXT], const char *path, const char *reason)
{
    (void)snprintf(why, WEFT_WHY_TEXT, "%s: %s", path, reason);
    return -1;
}

static int count_of(const char *path, const struct stat *info, size_t element, size_t *ret,
                    char why[WEFT_WHY_TEXT])
{
    if (!S_ISREG(info->st_mode)) {
        return refuse(why, path, "is no regular file");
    }
    const uint64_t bytes = (uint64_t)info->st_size;
    if (bytes % element != 0) {
        (void)snprintf(why, WEFT_WHY_TEXT,
                       "%s: %llu bytes are no whole number of elements of %zu bytes", path,
                       (unsigned long long)bytes, element);
        return -1;
    }
    *ret = (size_t)(bytes / element);
    return 0;
}

int weft_rankfile_count(const char *path, size_t element, size_t *ret, char why[WEFT_WHY_TEXT])
{
    struct stat info;
    if (stat(path, &info) != 0) {
        return refuse(why, path, strerror(errno));
    }
    return count_of(path, &info, element, ret, why);
}

int weft_rankfile_read(const char *path, size_t element, void **ret, size_t *ret_count,
                       char why[WEFT_WHY_TEXT])
{
    FILE *file = fopen(path, "rbe");
    struct stat info;
    void *bytes = NULL;
    size_t count = 0;
    int status = -1;
    if (file == NULL || fstat(fileno(file), &info) != 0) {
        (void)refuse(why, path, strerror(errno));
        goto out;
    }
    if (count_of(path, &info, element, &count, why) != 0) {
        goto out;
    }
    bytes = malloc(count * element + element);
    if (bytes == NULL) {
        (void)refuse(why, path, "out of memory");
        goto out;
    }
    if (fread(bytes, element, count, file) != count) {
        (void)refuse(why, path,
                     ferror(file) ? strerror(errno) : "became shorter while it was read");
        goto out;
    }
    *ret = bytes;
    *ret_count = count;
    bytes = NULL;
    status = 0;
out:
    free(bytes);
    if (file != NULL) {
        (void)fclose(file);
    }
    return status;
}

int weft_rankfile_write(const char *path, const void *bytes, size_t len, char why[WEFT_WHY_TEXT])
{
    FILE *file = fopen(path, "wbe");
    if (file == NULL) {
        return refuse(why, path, strerror(errno));
    }
    const bool written = fwrite(bytes, 1, len, file) == len;
    const int error = errno;
    if (fclose(file) != 0 || !written) {
        return refuse(why, path, strerror(written ? errno : error));
    }
    return 0;
}
