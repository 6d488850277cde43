/* SPDX-License-Identifier: Apache-2.0 */
/* IDX files, whole and damaged; images with their labels. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <lzma.h>
#include <zlib.h>

#include "dataset.h"
#include "idx.h"

enum { WHY = 512, ITEMS = 5, HIGH = 2, WIDE = 3, HEADER = 16, LABEL_HEADER = 8 };

static char folder[64];

static void setup(void)
{
    snprintf(folder, sizeof(folder), "/tmp/weft-idx-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static const char *name(const char *tail, char path[128])
{
    snprintf(path, 128, "%s/%s", folder, tail);
    return path;
}

static void teardown(void)
{
    static const char *const all[] = {"a",
                                      "a.gz",
                                      "a.xz",
                                      "x-images-idx3-ubyte",
                                      "x-labels-idx1-ubyte",
                                      "x-images-idx3-ubyte.gz",
                                      "x-labels-idx1-ubyte.gz",
                                      "y-images-idx3-ubyte",
                                      "y-labels-idx1-ubyte",
                                      "labels"};
    char path[128];

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        unlink(name(all[i], path));
    cr_expect_eq(rmdir(folder), 0);
}

static void write_file(const char *tail, const unsigned char *bytes, size_t len)
{
    char path[128];
    FILE *file = fopen(name(tail, path), "wb");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, len, file), len);
    cr_assert_eq(fclose(file), 0);
}

static void put(unsigned char *into, size_t value)
{
    for (int i = 0; i < 4; i++)
        into[i] = (unsigned char)(value >> (24 - 8 * i));
}

/* Five images of 2 x 3; pixel k of all is k * 8. */
static size_t images(unsigned char out[64])
{
    memset(out, 0, 64);
    out[2] = 8;
    out[3] = 3;
    put(out + 4, ITEMS);
    put(out + 8, HIGH);
    put(out + 12, WIDE);
    for (int k = 0; k < ITEMS * HIGH * WIDE; k++)
        out[HEADER + k] = (unsigned char)(k * 8);
    return HEADER + ITEMS * HIGH * WIDE;
}

static size_t labels(unsigned char out[64], size_t count)
{
    memset(out, 0, 64);
    out[2] = 8;
    out[3] = 1;
    put(out + 4, count);
    for (size_t k = 0; k < count; k++)
        out[LABEL_HEADER + k] = (unsigned char)(k % 3);
    return LABEL_HEADER + count;
}

static void refused(const unsigned char *bytes, size_t len, int dimensions, size_t most,
                    const char *words)
{
    weft_idx *idx = NULL;
    char path[128], why[WHY] = "";

    write_file("a", bytes, len);
    cr_expect_eq(weft_idx_read(&idx, name("a", path), dimensions, most, NULL, why, sizeof(why)), -1,
                 "accepted: %s", words);
    cr_expect_null(idx);
    cr_expect_not_null(strstr(why, words), "'%s' lacks '%s'", why, words);
    cr_expect_not_null(strstr(why, path), "'%s' does not name the file", why);
}

Test(idx, a_file_is_read_to_its_last_byte, .init = setup, .fini = teardown)
{
    unsigned char bytes[64];
    const size_t len = images(bytes);
    weft_idx *idx = NULL;
    size_t promised = 0;
    char path[128], why[WHY] = "";

    write_file("a", bytes, len);
    cr_assert_eq(weft_idx_read(&idx, name("a", path), 3, 0, NULL, why, sizeof(why)), 0, "%s", why);
    cr_expect_eq(idx->items, ITEMS);
    cr_expect_eq(idx->shape[0], HIGH);
    cr_expect_eq(idx->shape[1], WIDE);
    cr_expect_arr_eq(idx->bytes, bytes + HEADER, len - HEADER);
    weft_idx_free(&idx);
    cr_assert_eq(weft_idx_read(&idx, path, 3, 2, &promised, why, sizeof(why)), 0, "%s", why);
    cr_expect_eq(idx->items, 2);
    cr_expect_eq(promised, ITEMS);
    cr_expect_arr_eq(idx->bytes, bytes + HEADER, 2 * HIGH * WIDE);
    weft_idx_free(&idx);
}

Test(idx, packed_files_hold_the_same, .init = setup, .fini = teardown)
{
    unsigned char bytes[64], packed[512];
    const size_t len = images(bytes);
    size_t used = 0;
    weft_idx *idx = NULL;
    char path[128], why[WHY] = "";
    gzFile gz = gzopen(name("a.gz", path), "wb");

    cr_assert_eq(gzwrite(gz, bytes, (unsigned)len), (int)len);
    cr_assert_eq(gzclose(gz), Z_OK);
    cr_assert_eq(weft_idx_read(&idx, path, 3, 0, NULL, why, sizeof(why)), 0, "%s", why);
    cr_expect_arr_eq(idx->bytes, bytes + HEADER, len - HEADER);
    weft_idx_free(&idx);
    cr_assert_eq(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, bytes, len, packed, &used,
                                         sizeof(packed)),
                 LZMA_OK);
    write_file("a.xz", packed, used);
    cr_assert_eq(weft_idx_read(&idx, name("a.xz", path), 3, 0, NULL, why, sizeof(why)), 0, "%s",
                 why);
    cr_expect_arr_eq(idx->bytes, bytes + HEADER, len - HEADER);
    weft_idx_free(&idx);
    write_file("a.xz", packed, used - 20);
    cr_expect_eq(weft_idx_read(&idx, path, 3, 0, NULL, why, sizeof(why)), -1);
    cr_expect_not_null(strstr(why, "truncated"), "%s", why);
}

Test(idx, every_file_that_is_cut_is_refused, .init = setup, .fini = teardown)
{
    unsigned char bytes[64];
    const size_t len = images(bytes);

    for (size_t cut = 0; cut < len; cut++) {
        char words[64];

        snprintf(words, sizeof(words), "offset %zu: the file ends", cut);
        refused(bytes, cut, 3, 0, words);
    }
    refused(bytes, len - 1, 3, ITEMS, "offset 45: the file ends here");
}

Test(idx, headers_that_are_wrong_are_refused, .init = setup, .fini = teardown)
{
    static const struct {
        size_t at;
        unsigned char byte;
        const char *words;
    } cases[] = {{0, 0x1f, "offset 0: no IDX file: it begins with 0x1f00"},
                 {1, 1, "offset 0: no IDX file"},
                 {2, 0x0d, "offset 2: elements of type 0x0d"},
                 {3, 1, "offset 3: 1 dimensions, 3 are wanted"},
                 {7, 0, "offset 4: dimension 1 is 0"},
                 {11, 0, "offset 8: dimension 2 is 0"},
                 {15, 0, "offset 12: dimension 3 is 0"},
                 {7, 6, "offset 46: the file ends here, its header promises 6 bytes more"},
                 {7, 4, "offset 40: bytes follow the 24"},
                 {4, 0xff, "the file ends here"}};
    unsigned char bytes[64];
    const size_t len = images(bytes);

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        images(bytes);
        bytes[cases[i].at] = cases[i].byte;
        refused(bytes, len, 3, 0, cases[i].words);
    }
    images(bytes);
    memset(bytes + 4, 0xff, 12); /* 2^96 elements */
    refused(bytes, len, 3, 0, "offset 8: dimension 2 is 4294967295: more than 2^40 elements");
    images(bytes);
    refused(bytes, len, 3, 6, "6 rows were asked for, the file has 5");
    refused(bytes, len, 1, 0, "offset 3: 3 dimensions, 1 are wanted");
}

Test(idx, labels_are_found_beside_their_images, .init = setup, .fini = teardown)
{
    unsigned char bytes[64];
    weft_dataset *data = NULL;
    char path[128], other[128], why[WHY] = "";
    float row[HIGH * WIDE];

    write_file("x-images-idx3-ubyte", bytes, images(bytes));
    name("x-images-idx3-ubyte", path);
    cr_expect(weft_dataset_is_idx(path));
    cr_expect_eq(weft_dataset_read(&data, path, NULL, WEFT_LABELS_CLASSES, 0, NULL, why, WHY), -1);
    cr_expect_not_null(strstr(why, "give --labels FILE"), "%s", why);
    write_file("x-labels-idx1-ubyte", bytes, labels(bytes, ITEMS));
    cr_assert_eq(weft_dataset_read(&data, path, NULL, WEFT_LABELS_CLASSES, 0, NULL, why, WHY), 0,
                 "%s", why);
    cr_expect_eq(data->rows, ITEMS);
    cr_expect_eq(data->dim, HIGH * WIDE);
    cr_expect_eq(data->class_count, 3);
    cr_expect_eq(data->class_of[4], 1);
    weft_dataset_floats(data, 4, data->dim, row);
    cr_expect_eq(row[5], (float)(29 * 8) / 255.0f);
    weft_dataset_free(&data);
    /* By a name of its own. */
    write_file("labels", bytes, labels(bytes, ITEMS));
    unlink(name("x-labels-idx1-ubyte", other));
    cr_assert_eq(weft_dataset_read(&data, path, name("labels", other), WEFT_LABELS_CLASSES, 3, NULL,
                                   why, WHY),
                 0, "%s", why);
    cr_expect_eq(data->rows, 3);
    weft_dataset_free(&data);
}

Test(idx, labels_that_do_not_fit_are_refused, .init = setup, .fini = teardown)
{
    unsigned char bytes[64];
    weft_dataset *data = NULL, *like = NULL;
    char path[128], why[WHY] = "";

    write_file("x-images-idx3-ubyte", bytes, images(bytes));
    name("x-images-idx3-ubyte", path);
    write_file("x-labels-idx1-ubyte", bytes, labels(bytes, ITEMS + 1));
    for (size_t most = 0; most < 3; most += 2) {
        cr_expect_eq(
            weft_dataset_read(&data, path, NULL, WEFT_LABELS_CLASSES, most, NULL, why, WHY), -1);
        cr_expect_not_null(strstr(why, "offset 4: 6 labels"), "%s", why);
    }
    write_file("x-labels-idx1-ubyte", bytes, labels(bytes, ITEMS));
    cr_expect_eq(weft_dataset_read(&data, path, NULL, WEFT_LABELS_PAIR, 0, NULL, why, WHY), -1);
    cr_expect_not_null(strstr(why, "this is IDX"), "%s", why);
    cr_expect_eq(weft_dataset_read(&data, path, NULL, WEFT_LABELS_CLASSES, 1, NULL, why, WHY), -1);
    cr_expect_not_null(strstr(why, "two classes are needed"), "%s", why);
    /* Test data of other labels, and of another size. */
    cr_assert_eq(weft_dataset_read(&like, path, NULL, WEFT_LABELS_CLASSES, 2, NULL, why, WHY), 0);
    cr_expect_eq(weft_dataset_read(&data, path, NULL, WEFT_LABELS_CLASSES, 0, like, why, WHY), -1);
    cr_expect_not_null(strstr(why, "row 3 has the label 2, which the training data has not"), "%s",
                       why);
    images(bytes);
    put(bytes + 8, WIDE);
    put(bytes + 12, HIGH);
    write_file("y-images-idx3-ubyte", bytes, HEADER + ITEMS * HIGH * WIDE);
    write_file("y-labels-idx1-ubyte", bytes, labels(bytes, ITEMS));
    cr_expect_eq(weft_dataset_read(&data, name("y-images-idx3-ubyte", path), NULL,
                                   WEFT_LABELS_CLASSES, 0, like, why, WHY),
                 -1);
    cr_expect_not_null(strstr(why, "offset 8: images of 3 x 2"), "%s", why);
    cr_expect_null(data);
    weft_dataset_free(&like);
}
