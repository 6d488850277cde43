/* SPDX-License-Identifier: Apache-2.0 */
#include "support/tempfile.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void tempfile_write(char path[TEMPFILE_PATH], const void *data, size_t len)
{
    snprintf(path, TEMPFILE_PATH, "/tmp/weft-test-XXXXXX");
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
    FILE *file = fdopen(fd, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, len, file), len);
    cr_assert_eq(fclose(file), 0);
}

void tempfile_remove(const char *path)
{
    cr_assert_eq(unlink(path), 0, "%s: %s", path, strerror(errno));
}
