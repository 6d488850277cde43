/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data sets of `weft train`, LIBSVM text and IDX, plain and packed: no file may be read past its
 * end, reserve more than it holds, or give rows that are none.
 *
 * Input: one byte of choices (bits 0 and 1 the name's ending, 2 and 3 what labels are, 4 whether
 * only two rows are wanted), the length of a labels file, that file, and the data set.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataset.h"
#include "fuzz_must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_BYTES = 128 };

static char folder[] = "/tmp/weft-fuzz-XXXXXX";

static void remove_folder(void)
{
    (void)rmdir(folder);
}

static void write_file(const char *name, char path[PATH_BYTES], const uint8_t *data, size_t size)
{
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    MUST(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

/* An error is one line that begins with the name of one of the files. */
static void check_error(const char *why)
{
    MUST(!strncmp(why, folder, strlen(folder)));
    for (const char *p = why; *p; p++)
        MUST((unsigned char)*p >= 0x20);
}

static void check_sparse(const weft_dataset *d)
{
    const weft_libsvm *s = d->sparse;
    MUST(s->rows == d->rows && s->start[0] == 0 && s->start[s->rows] == s->nonzeros);
    for (size_t r = 0; r < s->rows; r++) {
        MUST(s->start[r] <= s->start[r + 1]);
        for (size_t k = s->start[r]; k < s->start[r + 1]; k++) {
            MUST(s->index[k] < s->dim && isfinite(s->value[k]));
            MUST(k == s->start[r] || s->index[k] > s->index[k - 1]);
        }
    }
}

static void check_rows(const weft_dataset *d, weft_labels labels, bool two)
{
    MUST(d->rows >= 1 && d->dim >= 1 && (!two || d->rows == 2));
    MUST((d->sparse == NULL) != (d->images == NULL));
    if (d->sparse)
        check_sparse(d);
    else
        MUST(d->images->items == d->rows && d->images->item_bytes == d->dim);
    for (size_t r = 0; r < d->rows; r++) {
        MUST(isfinite(d->label[r]));
        if (labels == WEFT_LABELS_NUMBERS)
            continue;
        MUST(d->class_of[r] < d->class_count);
        MUST(d->classes[d->class_of[r]] == d->label[r]);
        MUST(labels != WEFT_LABELS_PAIR || d->class_count == 2);
    }
    (void)weft_dataset_sum(d); /* reads all of it */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"images", "images.gz", "images.xz", "images"};
    static bool made;
    char path[PATH_BYTES], beside[PATH_BYTES], why[512] = "";
    if (size < 2 || size < 2 + (size_t)data[1])
        return 0;
    if (!made) {
        MUST(mkdtemp(folder));
        atexit(remove_folder);
        made = true;
    }
    const weft_labels labels = (data[0] >> 2 & 3) % 3;
    const bool two = data[0] >> 4 & 1;
    const size_t head = 2 + (size_t)data[1];
    write_file("labels", beside, data + 2, data[1]);
    write_file(names[data[0] & 3], path, data + head, size - head);
    weft_dataset *d = NULL;
    if (weft_dataset_read(&d, path, NULL, labels, two ? 2 : 0, NULL, why, sizeof(why)) == 0) {
        check_rows(d, labels, two);
        weft_dataset *again = NULL; /* what was taken is taken again, beside itself */
        MUST(!weft_dataset_read(&again, path, NULL, labels, two ? 2 : 0, d, why, sizeof(why)));
        MUST(weft_dataset_sum(again) == weft_dataset_sum(d));
        weft_dataset_free(&again);
        weft_dataset_free(&d);
    } else {
        MUST(d == NULL);
        check_error(why);
    }
    MUST(unlink(path) == 0 && unlink(beside) == 0);
    return 0;
}
