/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over stored inputs, without libFuzzer: every input that once found something,
 * and the seeds. Arguments are files and folders; a folder's files are taken in its own order.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs are small; a file beyond this is there by mistake. */
enum { INPUT_MAX = 1 << 24, PATH_BYTES = 4096 };

static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    int failed = 1;

    if (file == NULL || size > INPUT_MAX) {
        fprintf(stderr, "%s: %s\n", path, file == NULL ? strerror(errno) : "too large");
        goto out;
    }
    /* Exactly as long as the input, so that reading past its end is seen. */
    data = malloc(size > 0 ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size) {
        fprintf(stderr, "%s: cannot read\n", path);
        goto out;
    }
    LLVMFuzzerTestOneInput(data, size);
    failed = 0;
out:
    free(data);
    if (file != NULL)
        fclose(file);
    return failed;
}

static int replay(const char *path, long *count)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    if (!S_ISDIR(status.st_mode)) {
        (*count)++;
        return replay_file(path, (size_t)status.st_size);
    }

    DIR *folder = opendir(path);
    int failed = 0;

    if (folder == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char inner[PATH_BYTES];
        int length = snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);

        if (entry->d_name[0] == '.')
            continue;
        failed |= length >= (int)sizeof(inner) || replay(inner, count);
    }
    closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    long count = 0;
    int failed = 0;

    for (int i = 1; i < argc; i++)
        failed |= replay(argv[i], &count);
    printf("%ld inputs\n", count);
    return failed != 0 || count == 0;
}
