/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of LIBSVM text: what it takes, and that all else is told with its place. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <lzma.h>
#include <zlib.h>

#include "libsvm.h"

#define WHY 512

static char path[64];

/* A file of these bytes; its name ends in tail. */
static void write_file(const char *tail, const void *bytes, size_t len)
{
    FILE *file;

    snprintf(path, sizeof(path), "/tmp/weft-libsvm-%ld%s", (long)getpid(), tail);
    file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, len, file), len);
    cr_assert_eq(fclose(file), 0);
}

/* Read, and find the two classes. */
static int read_pair(weft_libsvm **ret, const char *file, char *why, size_t cap)
{
    weft_libsvm *data = NULL;

    if (weft_libsvm_read(&data, file, 0, why, cap) != 0)
        return -1;
    if (weft_libsvm_pair(data, file, why, cap) != 0) {
        weft_libsvm_free(&data);
        return -1;
    }
    *ret = data;
    return 0;
}

static weft_libsvm *read_good(void)
{
    weft_libsvm *data = NULL;
    char why[WHY] = "";

    cr_assert_eq(read_pair(&data, path, why, sizeof(why)), 0, "%s", why);
    remove(path);
    return data;
}

/* The file is refused, nothing is returned, and the reason holds these words. */
static void refused(const char *text, size_t len, const char *words)
{
    weft_libsvm *data = NULL;
    char why[WHY] = "";

    write_file("", text, len);
    cr_expect_eq(read_pair(&data, path, why, sizeof(why)), -1, "accepted: %s", text);
    cr_expect_null(data);
    cr_expect_not_null(strstr(why, words), "'%s' lacks '%s'", why, words);
    cr_expect_not_null(strstr(why, path), "'%s' does not name the file", why);
    remove(path);
}

static const char two_rows[] = "2 1:0.5 3:-1e2\n-1 2:4\n";

static void expect_two_rows(weft_libsvm *d)
{
    const size_t start[] = {0, 2, 3};
    const uint32_t index[] = {0, 2, 1};
    const double value[] = {0.5, -100, 4};

    cr_assert_eq(d->rows, 2);
    cr_expect_eq(d->dim, 3);
    cr_expect_eq(d->nonzeros, 3);
    cr_expect_arr_eq(d->start, start, sizeof(start));
    cr_expect_arr_eq(d->index, index, sizeof(index));
    cr_expect_arr_eq(d->value, value, sizeof(value));
    cr_expect(d->classes[0] == -1 && d->classes[1] == 2);
    cr_expect(d->sign[0] == 1 && d->sign[1] == -1, "the larger label is +1");
    weft_libsvm_free(&d);
    cr_expect_null(d);
}

Test(libsvm, comments_are_left_out)
{
    static const char text[] =
        "# made by hand\n2 1:0.5 3:-1e2 # 9:9 \xc3\xa4\n#\n-1 2:4#last\n  # end";

    write_file("", text, strlen(text));
    expect_two_rows(read_good());
}

Test(libsvm, plain_text_becomes_rows)
{
    write_file("", two_rows, strlen(two_rows));
    expect_two_rows(read_good());
}

Test(libsvm, blanks_line_ends_and_a_missing_last_newline_do_not_matter)
{
    const char text[] = "+2\t1:.5  3:-100 \r\n-1.0 2:4";

    write_file("", text, strlen(text));
    expect_two_rows(read_good());
}

Test(libsvm, a_row_may_have_no_entries)
{
    const char text[] = "1\n0 2:1\n1 \n";
    weft_libsvm *d;

    write_file("", text, strlen(text));
    d = read_good();
    cr_expect_eq(d->rows, 3);
    cr_expect_eq(d->start[1], 0);
    cr_expect_eq(d->start[3], 1);
    weft_libsvm_free(&d);
}

/* gzip, as one member or as two that follow each other. */
static size_t gzip(const char *text, size_t len, unsigned char *out, size_t cap)
{
    z_stream z = {0};

    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return cap - z.avail_out;
}

static size_t xz(const char *text, size_t len, unsigned char *out, size_t cap)
{
    size_t at = 0;

    cr_assert_eq(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, (const uint8_t *)text, len, out,
                                         &at, cap),
                 LZMA_OK);
    return at;
}

Test(libsvm, gz_and_xz_are_read_directly)
{
    unsigned char packed[512];
    size_t len = gzip(two_rows, strlen(two_rows), packed, sizeof(packed));

    write_file(".gz", packed, len);
    expect_two_rows(read_good());
    len = gzip(two_rows, 10, packed, sizeof(packed));
    len += gzip(two_rows + 10, strlen(two_rows) - 10, packed + len, sizeof(packed) - len);
    write_file(".gz", packed, len);
    expect_two_rows(read_good());
    len = xz(two_rows, strlen(two_rows), packed, sizeof(packed));
    write_file(".xz", packed, len);
    expect_two_rows(read_good());
}

Test(libsvm, damaged_archives_are_refused)
{
    static const char *const tails[] = {".gz", ".xz"};

    for (int i = 0; i < 2; i++) {
        unsigned char packed[512];
        const size_t len = i == 0 ? gzip(two_rows, strlen(two_rows), packed, sizeof(packed))
                                  : xz(two_rows, strlen(two_rows), packed, sizeof(packed));
        weft_libsvm *data = NULL;
        char why[WHY] = "";

        write_file(tails[i], packed, len - 6);
        cr_expect_eq(read_pair(&data, path, why, sizeof(why)), -1);
        cr_expect_not_null(strstr(why, "truncated"), "%s", why);
        packed[len / 2] ^= 0x55;
        packed[len / 2 + 1] ^= 0x55;
        write_file(tails[i], packed, len);
        cr_expect_eq(read_pair(&data, path, why, sizeof(why)), -1);
        write_file(tails[i], two_rows, strlen(two_rows));
        cr_expect_eq(read_pair(&data, path, why, sizeof(why)), -1);
        cr_expect_not_null(strstr(why, "corrupt"), "%s", why);
        cr_expect_null(data);
        remove(path);
    }
}

Test(libsvm, every_bad_input_is_told_with_line_and_column)
{
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"1 1:1\nx 1:1\n", "line 2, column 1: 'x' is no label"},
        {"1 1:1\n2 1:1 foo\n", "line 2, column 7: 'foo' is no index:value pair"},
        {"1 1:1\n2 1:x#2:1\n", "line 2, column 3: 'x' is no value"},
        {"# 1\n1 1:1\n\n2 2:1\n", "line 3, column 1: the line is empty"},
        {"# nothing\n", "the file is empty"},
        {"1 1:1\n2 :1\n", "line 2, column 3"},
        {"1 1:1\n2 1:\n", "line 2, column 3: a value is missing"},
        {"1 1:1\n2 1:2:3\n", "line 2, column 3: '2:3' is no value"},
        {"1 1:1\n2 1:0x10\n", "'0x10' is no value"},
        {"1 1:1\n2 1:1,5\n", "'1,5' is no value"},
        {"1 1:1\n2 -1:1\n", "an index is a whole number"},
        {"1 1:1\n2 1.5:1\n", "an index is a whole number"},
        {"1 1:1\n2 0:1\n", "line 2, column 3: index 0"},
        {"1 1:1 2:1\n2 3:1 3:1\n", "line 2, column 7: index 3 after 3"},
        {"1 1:1 5:1 4:1\n2 1:1\n", "line 1, column 11: index 4 after 5"},
        {"1 2147483649:1\n2 1:1\n", "above 2147483648"},
        {"1 99999999999999999999999:1\n2 1:1\n", "above 2147483648"},
        {"1 1:nan\n2 1:1\n", "line 1, column 3: the value is NaN"},
        {"1 1:1 2:-inf\n2 1:1\n", "line 1, column 7: the value '-inf' is infinite"},
        {"1 1:1e999\n2 1:1\n", "beyond a double"},
        {"nan 1:1\n2 1:1\n", "the label is NaN"},
        {"1 1:1\n\n2 1:1\n", "line 2, column 1: the line is empty"},
        {"1 1:1\n2 1:1\n\n", "line 3, column 1: the line is empty"},
        {"1:1 2:1\n", "line 1, column 1: the row begins with an index:value pair"},
        {"", "the file is empty"},
        {"1 1:1\n1 2:1\n", "all 2 rows have the label 1"},
        {"1 1:1\n2 1:1\n3 1:1\n", "labels 1, 2, 3"},
        {"1\n2\n", "no row has a single index:value pair"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        refused(bad[i].text, strlen(bad[i].text), bad[i].words);
}

Test(libsvm, bytes_that_are_no_text_are_refused)
{
    char longest[400];

    refused("1 1:1\n2 \0001:1\n", 13, "zero byte");
    refused("\xff\xfe"
            "1 1:1\n",
            8, "line 1, column 1");
    memset(longest, '7', sizeof(longest));
    refused(longest, sizeof(longest), "longer than");
}

Test(libsvm, a_long_list_of_labels_is_cut)
{
    char text[512] = "";
    char why[WHY] = "";
    weft_libsvm *data = NULL;

    for (int i = 0; i < 30; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d 1:1\n", i);
    write_file("", text, strlen(text));
    cr_expect_eq(read_pair(&data, path, why, sizeof(why)), -1);
    cr_expect_not_null(strstr(why, "0, 1, 2, 3, 4, 5, 6, 7, …"), "%s", why);
    remove(path);
}

Test(libsvm, a_missing_file_and_a_folder_are_told)
{
    weft_libsvm *data = NULL;
    char why[WHY] = "";

    cr_expect_eq(read_pair(&data, "/nonexistent/data", why, sizeof(why)), -1);
    cr_expect_not_null(strstr(why, "/nonexistent/data: No such file"), "%s", why);
    cr_expect_eq(read_pair(&data, "/tmp", why, sizeof(why)), -1);
    cr_expect_not_null(strstr(why, "Is a directory"), "%s", why);
}
