/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsvm_source.h"
#include "train_checksum.h"

#define CLASSES_MAX 65536 /* beyond, labels are numbers, not classes */
#define PATH_CAP 4096

bool weft_dataset_is_idx(const char *path)
{
    weft_source *source = NULL;
    const unsigned char *bytes = NULL;
    char why[256];
    bool is = false;

    if (weft_source_open(&source, path, why, sizeof(why)) != 0)
        return false;
    is = weft_source_more(source, &bytes, why, sizeof(why)) >= 2 && bytes[0] == 0 && bytes[1] == 0;
    weft_source_close(&source);
    return is;
}

static bool exists(const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file != NULL)
        fclose(file);
    return file != NULL;
}

/* Put "to" for the last "from" of the text. */
static bool replace_last(char text[PATH_CAP], const char *from, const char *to)
{
    char *last = NULL;

    for (char *p = strstr(text, from); p != NULL; p = strstr(p + 1, from))
        last = p;
    if (last == NULL || strlen(from) != strlen(to))
        return false;
    for (size_t i = 0; to[i] != '\0'; i++)
        last[i] = to[i];
    return true;
}

/* The labels beside images: the same name with other words in it, packed alike or otherwise. */
static int find_labels(const char *images, char ret[PATH_CAP], char *why, size_t cap)
{
    static const char *const tails[] = {"", ".gz", ".xz"};
    char plain[PATH_CAP];
    size_t len;
    int n = snprintf(ret, PATH_CAP, "%s", images);

    if (n < 0 || n >= PATH_CAP || strrchr(ret, '/') > strstr(ret, "images") ||
        !replace_last(ret, "images", "labels")) {
        snprintf(why, cap,
                 "%s: the name has no \"images\" to put \"labels\" for: give --labels FILE",
                 images);
        return -1;
    }
    (void)replace_last(ret, "idx3", "idx1");
    if (exists(ret))
        return 0;
    snprintf(plain, sizeof(plain), "%s", ret);
    len = strlen(plain);
    if (len > 3 && (strcmp(plain + len - 3, ".gz") == 0 || strcmp(plain + len - 3, ".xz") == 0))
        plain[len - 3] = '\0';
    for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
        char other[PATH_CAP];

        n = snprintf(other, sizeof(other), "%s%s", plain, tails[i]);
        if (n < 0 || n >= PATH_CAP || !exists(other))
            continue;
        snprintf(ret, PATH_CAP, "%s", other);
        return 0;
    }
    snprintf(why, cap, "%s: its labels are not beside it as %s: give --labels FILE", images, ret);
    return -1;
}

static int read_images(weft_dataset *d, const char *labels_path, size_t most, char *why, size_t cap)
{
    char beside[PATH_CAP];
    weft_idx *labels = NULL;
    size_t images_in_all = 0, labels_in_all = 0;
    int status = -1;

    if (labels_path == NULL) {
        if (find_labels(d->path, beside, why, cap) != 0)
            return -1;
        labels_path = beside;
    }
    if (weft_idx_read(&d->images, d->path, 3, most, &images_in_all, why, cap) != 0 ||
        weft_idx_read(&labels, labels_path, 1, most, &labels_in_all, why, cap) != 0)
        goto out;
    if (images_in_all != labels_in_all) {
        snprintf(why, cap, "%s: offset 4: %zu labels, %s has %zu images", labels_path,
                 labels_in_all, d->path, images_in_all);
        goto out;
    }
    d->rows = d->images->items;
    d->dim = d->images->item_bytes;
    d->nonzeros = d->rows * d->dim;
    d->image_labels = calloc(d->rows, sizeof(*d->image_labels));
    if (d->image_labels == NULL) {
        snprintf(why, cap, "%s: out of memory", d->path);
        goto out;
    }
    for (size_t i = 0; i < d->rows; i++)
        d->image_labels[i] = labels->bytes[i];
    d->label = d->image_labels;
    status = 0;
out:
    weft_idx_free(&labels);
    return status;
}

static int read_sparse(weft_dataset *d, const char *labels_path, size_t most, char *why, size_t cap)
{
    if (labels_path != NULL) {
        snprintf(why, cap, "%s: it is LIBSVM text, which holds its labels itself: no %s", d->path,
                 labels_path);
        return -1;
    }
    if (weft_libsvm_read(&d->sparse, d->path, most, why, cap) != 0)
        return -1;
    d->rows = d->sparse->rows;
    d->dim = d->sparse->dim;
    d->nonzeros = d->sparse->nonzeros;
    d->label = d->sparse->label;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The distinct labels, ascending. */
static int find_classes(weft_dataset *d, char *why, size_t cap)
{
    double *sorted = calloc(d->rows, sizeof(*sorted));
    size_t count = 0;

    if (sorted == NULL) {
        snprintf(why, cap, "%s: out of memory", d->path);
        return -1;
    }
    memcpy(sorted, d->label, d->rows * sizeof(*sorted));
    qsort(sorted, d->rows, sizeof(*sorted), compare_numbers);
    for (size_t i = 0; i < d->rows; i++) {
        if (i == 0 || sorted[i] != sorted[count - 1])
            sorted[count++] = sorted[i];
    }
    d->classes = sorted;
    d->class_count = count;
    if (count < 2) {
        snprintf(why, cap, "%s: all %zu rows have the label %g, two classes are needed", d->path,
                 d->rows, sorted[0]);
        return -1;
    }
    if (count > CLASSES_MAX) {
        snprintf(why, cap, "%s: %zu distinct labels, at most %d classes are taken", d->path, count,
                 CLASSES_MAX);
        return -1;
    }
    return 0;
}

static int copy_classes(weft_dataset *d, const weft_dataset *like, char *why, size_t cap)
{
    d->classes = calloc(like->class_count, sizeof(*d->classes));
    if (d->classes == NULL) {
        snprintf(why, cap, "%s: out of memory", d->path);
        return -1;
    }
    memcpy(d->classes, like->classes, like->class_count * sizeof(*d->classes));
    d->class_count = like->class_count;
    return 0;
}

static int number_classes(weft_dataset *d, char *why, size_t cap)
{
    d->class_of = calloc(d->rows, sizeof(*d->class_of));
    if (d->class_of == NULL) {
        snprintf(why, cap, "%s: out of memory", d->path);
        return -1;
    }
    for (size_t i = 0; i < d->rows; i++) {
        const double *found =
            bsearch(&d->label[i], d->classes, d->class_count, sizeof(*d->classes), compare_numbers);

        if (found == NULL) {
            snprintf(why, cap, "%s: row %zu has the label %g, which the training data has not",
                     d->path, i + 1, d->label[i]);
            return -1;
        }
        d->class_of[i] = (uint32_t)(found - d->classes);
    }
    return 0;
}

static int set_labels(weft_dataset *d, weft_labels labels, const weft_dataset *like, char *why,
                      size_t cap)
{
    if (labels == WEFT_LABELS_NUMBERS)
        return 0;
    if (labels == WEFT_LABELS_PAIR && d->sparse == NULL) {
        snprintf(why, cap, "%s: two classes of LIBSVM text are wanted, this is IDX", d->path);
        return -1;
    }
    if (labels == WEFT_LABELS_PAIR) {
        if ((like == NULL
                 ? weft_libsvm_pair(d->sparse, d->path, why, cap)
                 : weft_libsvm_pair_like(d->sparse, like->classes, d->path, why, cap)) != 0)
            return -1;
    }
    if ((like == NULL ? find_classes(d, why, cap) : copy_classes(d, like, why, cap)) != 0)
        return -1;
    return number_classes(d, why, cap);
}

/* Test data must be of the training data's kind. */
static int compare_shapes(const weft_dataset *d, const weft_dataset *like, char *why, size_t cap)
{
    if ((d->images == NULL) != (like->images == NULL)) {
        snprintf(why, cap, "%s is %s, %s is %s", d->path, d->images != NULL ? "IDX" : "LIBSVM text",
                 like->path, like->images != NULL ? "IDX" : "LIBSVM text");
        return -1;
    }
    if (d->images != NULL &&
        memcmp(d->images->shape, like->images->shape, sizeof(d->images->shape)) != 0) {
        snprintf(why, cap, "%s: offset 8: images of %zu x %zu, %s has %zu x %zu", d->path,
                 d->images->shape[0], d->images->shape[1], like->path, like->images->shape[0],
                 like->images->shape[1]);
        return -1;
    }
    return 0;
}

int weft_dataset_read(weft_dataset **ret, const char *path, const char *labels_path,
                      weft_labels labels, size_t most, const weft_dataset *like, char *why,
                      size_t cap)
{
    weft_dataset *d = calloc(1, sizeof(*d));
    int status;

    if (d == NULL) {
        snprintf(why, cap, "%s: out of memory", path);
        return -1;
    }
    d->path = path;
    status = weft_dataset_is_idx(path) ? read_images(d, labels_path, most, why, cap)
                                       : read_sparse(d, labels_path, most, why, cap);
    if (status == 0 && like != NULL)
        status = compare_shapes(d, like, why, cap);
    if (status == 0)
        status = set_labels(d, labels, like, why, cap);
    if (status == 0 && d->dim == 0) {
        snprintf(why, cap, "%s: no row has a single index:value pair", path);
        status = -1;
    }
    if (status != 0) {
        weft_dataset_free(&d);
        return -1;
    }
    *ret = d;
    return 0;
}

void weft_dataset_free(weft_dataset **data)
{
    weft_dataset *d = *data;

    *data = NULL;
    if (d == NULL)
        return;
    weft_libsvm_free(&d->sparse);
    weft_idx_free(&d->images);
    free(d->classes);
    free(d->class_of);
    free(d->image_labels);
    free(d);
}

uint64_t weft_dataset_sum(const weft_dataset *data)
{
    const weft_libsvm *s = data->sparse;
    uint32_t sums[4] = {weft_train_crc32c(data->label, data->rows * sizeof(*data->label))};

    if (s != NULL) {
        sums[1] = weft_train_crc32c(s->index, s->nonzeros * sizeof(*s->index));
        sums[2] = weft_train_crc32c(s->value, s->nonzeros * sizeof(*s->value));
        sums[3] = weft_train_crc32c(s->start, (s->rows + 1) * sizeof(*s->start));
    } else {
        sums[1] = weft_train_crc32c(data->images->bytes, data->nonzeros);
    }
    return (uint64_t)weft_train_crc32c(sums, sizeof(sums)) << 32 | sums[0];
}
