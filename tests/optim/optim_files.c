/* SPDX-License-Identifier: Apache-2.0 */
#include "optim_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <dirent.h>

const char *scratch_folder(void)
{
    static char folder[64];

    snprintf(folder, sizeof(folder), "/tmp/weft-checkpoint-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    return folder;
}

int files_in(const char *folder, int remove_them)
{
    DIR *dir = opendir(folder);
    char path[512];
    int count = 0;

    for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        count++;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        if (remove_them && unlink(path) != 0) {
            rmdir(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return count;
}

void clear_folder(const char *folder)
{
    files_in(folder, 1);
    rmdir(folder);
}

size_t slurp(const char *path, unsigned char *out, size_t cap)
{
    FILE *f = fopen(path, "rb");
    const size_t n = f != NULL ? fread(out, 1, cap, f) : 0;

    if (f != NULL) {
        fclose(f);
    }
    return n;
}

int spew(const char *path, const unsigned char *data, size_t length)
{
    FILE *f = fopen(path, "wb");
    const int good = f != NULL && fwrite(data, 1, length, f) == length;

    return f != NULL && fclose(f) == 0 && good;
}
