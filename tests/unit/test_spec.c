/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/spec.h"
#include "base/status.h"

static const weft_param params[] = {
    {.key = "levels", .value = "7", .min = 1, .max = 127, .integer = 1, .help = ""},
    {.key = "norm", .value = "max", .choices = "max|2|1", .help = ""},
    {.key = "rate", .value = "0.1", .min = 0, .max = 10, .help = ""},
    {.key = "alpha", .value = "auto", .min = 0, .max = 1, .help = ""},
    {.key = NULL},
};

/* A text that must be given and one that need not be. */
static const weft_param texts[] = {
    {.key = "path", .value = "", .min = 1, .max = 480, .text = 1, .help = "a file"},
    {.key = "levels", .value = "7", .min = 1, .max = 127, .integer = 1, .help = ""},
    {.key = "note", .value = "none", .max = 480, .text = 1, .help = ""},
    {.key = NULL},
};

static weft_spec parsed(const char *text)
{
    weft_spec spec;
    int code = weft_spec_parse("codec", text, params, &spec);
    cr_assert_eq(code, WEFT_OK, "%s: %s", text, weft_last_error()->message);
    return spec;
}

/* Refused with exactly this text, and nothing written. */
static void refused(const char *text, const char *message)
{
    weft_spec spec, was;
    memset(&spec, 0x5a, sizeof(spec));
    was = spec;
    cr_expect_eq(weft_spec_parse("codec", text, params, &spec), WEFT_EINVAL, "%s", text);
    cr_expect_str_eq(weft_last_error()->message, message);
    cr_expect_eq(memcmp(&spec, &was, sizeof(spec)), 0);
}

Test(spec, a_name_alone_takes_the_defaults)
{
    weft_spec spec = parsed("qsgd");
    cr_assert_str_eq(spec.name, "qsgd");
    cr_assert_eq(spec.number[0], 7);
    cr_assert_eq(spec.choice[1], 0);
    cr_assert_eq(spec.number[2], 0.1);
    cr_assert(isnan(spec.number[3]), "auto");
    for (int i = 0; i < 4; i++)
        cr_assert_eq(spec.given[i], 0);
}

Test(spec, keys_come_in_any_order)
{
    weft_spec spec = parsed("qsgd:rate=2.5e-1,norm=1,levels=127,alpha=1");
    cr_assert_eq(spec.number[0], 127);
    cr_assert_eq(spec.choice[1], 2);
    cr_assert_eq(spec.number[2], 0.25);
    cr_assert_eq(spec.number[3], 1.0);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(spec.given[i], 1);
}

Test(spec, unknown_key_names_the_choices)
{
    refused("qsgd:level=3", "codec qsgd: unknown key \"level\" (did you mean levels?); valid keys: "
                            "levels, norm, rate, alpha");
    refused("qsgd:window=3",
            "codec qsgd: unknown key \"window\"; valid keys: levels, norm, rate, alpha");
}

Test(spec, a_name_without_keys_says_none)
{
    static const weft_param no_params[] = {{.key = NULL}};
    weft_spec spec;
    cr_assert_eq(weft_spec_parse("codec", "raw:levels=1", no_params, &spec), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message,
                     "codec raw: unknown key \"levels\"; valid keys: none");
    cr_assert_eq(weft_spec_parse("codec", "raw", no_params, &spec), WEFT_OK);
}

Test(spec, bad_values_name_the_range)
{
    refused("qsgd:levels=0", "codec qsgd: levels: 0 is out of range (1 to 127)");
    refused("qsgd:levels=128", "codec qsgd: levels: 128 is out of range (1 to 127)");
    refused("qsgd:levels=99999999999999999999",
            "codec qsgd: levels: 99999999999999999999 is out of range (1 to 127)");
    refused("qsgd:levels=7.5", "codec qsgd: levels: \"7.5\" is not a whole number (1 to 127)");
    refused("qsgd:levels=", "codec qsgd: levels: \"\" is not a whole number (1 to 127)");
    refused("qsgd:rate=-0.5", "codec qsgd: rate: -0.5 is out of range (0 to 10)");
    refused("qsgd:rate=nan", "codec qsgd: rate: \"nan\" is not a number (0 to 10)");
    refused("qsgd:rate=inf", "codec qsgd: rate: \"inf\" is not a number (0 to 10)");
    refused("qsgd:rate=1e999", "codec qsgd: rate: \"1e999\" is not a number (0 to 10)");
    refused("qsgd:rate=0x1", "codec qsgd: rate: \"0x1\" is not a number (0 to 10)");
    refused("qsgd:rate= 1", "codec qsgd: rate: \" 1\" is not a number (0 to 10)");
    refused("qsgd:rate=auto", "codec qsgd: rate: \"auto\" is not a number (0 to 10)");
    refused("qsgd:norm=3", "codec qsgd: norm: \"3\" is none of max|2|1");
    refused("qsgd:norm=max|2", "codec qsgd: norm: \"max|2\" is none of max|2|1");
    refused("qsgd:norm=", "codec qsgd: norm: \"\" is none of max|2|1");
    refused("qsgd:alpha=2", "codec qsgd: alpha: 2 is out of range (0 to 1)");
}

Test(spec, malformed_texts_are_refused)
{
    refused("qsgd:", "codec qsgd: \"\" is not key=value");
    refused("qsgd:levels=1,", "codec qsgd: \"\" is not key=value");
    refused("qsgd:levels", "codec qsgd: \"levels\" is not key=value");
    refused("qsgd:levels=1,levels=1", "codec qsgd: key levels is given twice");
    refused("qsgd:norm=\x1b[2J", "codec qsgd: norm: \"?[2J\" is none of max|2|1");
    refused("", "codec: SPEC \"\" does not begin with a name (a-z, 0-9 and _, at most 31)");
    refused(NULL, "codec: SPEC \"\" does not begin with a name (a-z, 0-9 and _, at most 31)");
    refused(":a=1", "codec: SPEC \":a=1\" does not begin with a name (a-z, 0-9 and _, at most 31)");
    refused("Qsgd", "codec: SPEC \"Qsgd\" does not begin with a name (a-z, 0-9 and _, at most 31)");
    refused("a b", "codec: SPEC \"a b\" does not begin with a name (a-z, 0-9 and _, at most 31)");
}

Test(spec, overlong_texts_are_refused)
{
    char text[WEFT_SPEC_TEXT + 64], name[WEFT_SPEC_NAME] = "kept";
    weft_spec spec;
    memset(text, 'a', sizeof(text));
    text[WEFT_SPEC_NAME] = '\0';
    cr_assert_eq(weft_spec_name(text, name), WEFT_EINVAL);
    cr_assert_str_eq(name, "kept");
    text[WEFT_SPEC_NAME - 1] = '\0';
    cr_assert_eq(weft_spec_name(text, name), WEFT_OK);
    memset(text, '0', sizeof(text));
    memcpy(text, "qsgd:levels=", 12);
    text[WEFT_SPEC_TEXT] = '\0';
    cr_assert_eq(weft_spec_parse("codec", text, params, &spec), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message, "codec qsgd: SPEC is longer than 511 characters");
}

Test(spec, equal_specs_have_equal_texts)
{
    char a[WEFT_SPEC_TEXT], b[WEFT_SPEC_TEXT];
    weft_spec spec = parsed("qsgd:rate=0.10,levels=+7");
    weft_spec_format(&spec, params, a, sizeof(a));
    cr_assert_str_eq(a, "qsgd:levels=7,norm=max,rate=0.1,alpha=auto");
    spec = parsed(a);
    weft_spec_format(&spec, params, b, sizeof(b));
    cr_assert_str_eq(a, b);
    spec = parsed("qsgd:norm=2,rate=3.3333333333333335,alpha=0.30000000000000004");
    weft_spec_format(&spec, params, a, sizeof(a));
    cr_assert_str_eq(a, "qsgd:levels=7,norm=2,rate=3.3333333333333335,alpha=0.30000000000000004");
}

Test(spec, texts_hold_paths_and_whatever_has_no_comma)
{
    char text[WEFT_SPEC_TEXT];
    weft_spec spec;
    cr_assert_eq(weft_spec_parse("graph", "file:levels=3,path=/a b/c=d:e.txt", texts, &spec), 0);
    cr_assert_str_eq(weft_spec_text(&spec, 0), "/a b/c=d:e.txt");
    cr_assert_eq(spec.number[1], 3);
    cr_assert_str_eq(weft_spec_text(&spec, 2), "none", "the default");
    cr_assert(spec.given[0] && !spec.given[2]);
    weft_spec_format(&spec, texts, text, sizeof(text));
    cr_assert_str_eq(text, "file:path=/a b/c=d:e.txt,levels=3,note=none");
    cr_assert_eq(weft_spec_parse("graph", "file:note=,path=auto", texts, &spec), 0);
    cr_assert_str_eq(weft_spec_text(&spec, 0), "auto", "no word for a text");
    cr_assert_str_eq(weft_spec_text(&spec, 2), "");
}

static void text_refused(const char *spec_text, const char *message)
{
    weft_spec spec;
    cr_expect_eq(weft_spec_parse("graph", spec_text, texts, &spec), WEFT_EINVAL, "%s", spec_text);
    cr_expect_str_eq(weft_last_error()->message, message);
}

Test(spec, a_text_that_is_needed_is_asked_for_and_held_to_its_length)
{
    char text[WEFT_SPEC_TEXT];
    text_refused("file", "graph file: key path is missing: a file");
    text_refused("file:levels=1", "graph file: key path is missing: a file");
    text_refused("file:path=", "graph file: path: a text of 0 bytes (1 to 480)");
    text_refused("file:path=a,path=b", "graph file: key path is given twice");
    text_refused("file:path=a\nb", "graph file: path: \"a?b\" holds a control character");
    snprintf(text, sizeof(text), "file:path=%0481d", 0);
    text_refused(text, "graph file: path: a text of 481 bytes (1 to 480)");
    snprintf(text, sizeof(text), "file:path=%0470d,note=%022d", 0, 0);
    text_refused(text, "graph file: SPEC with all its keys is longer than 511 characters");
}

Test(spec, format_cuts_at_the_buffer)
{
    char small[] = "................";
    weft_spec spec = parsed("qsgd");
    cr_assert_geq(weft_spec_format(&spec, params, small, 9), 9);
    cr_assert_str_eq(small, "qsgd:lev");
    cr_assert_eq(small[9], '.');
}

Test(spec, numbers_have_a_point_in_every_locale)
{
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8"};
    const char *set = NULL;
    for (int i = 0; i < 3 && !set; i++)
        set = setlocale(LC_ALL, commas[i]);
    if (!set || strcmp(localeconv()->decimal_point, ",") != 0)
        cr_skip_test("no locale with a decimal comma is installed");
    char text[WEFT_SPEC_TEXT];
    weft_spec spec = parsed("qsgd:rate=2.5");
    weft_spec_format(&spec, params, text, sizeof(text));
    cr_assert_str_eq(text, "qsgd:levels=7,norm=max,rate=2.5,alpha=auto");
}

Test(spec, numbers_parse_whole_and_in_range)
{
    double v = -1;
    long long n = -1;
    cr_assert_eq(weft_parse_number("--l2", "1e-3", 0, 1, &v), WEFT_OK);
    cr_assert_eq(v, 1e-3);
    cr_assert_eq(weft_parse_number("--l2", "1e-3x", 0, 1, &v), WEFT_EINVAL);
    cr_assert_eq(weft_parse_number("--l2", NULL, 0, 1, &v), WEFT_EINVAL);
    cr_assert_eq(weft_parse_number("--l2", "", -DBL_MAX, DBL_MAX, &v), WEFT_EINVAL);
    cr_assert_eq(weft_parse_number("--l2", "1.5", 0, 1, &v), WEFT_EINVAL);
    cr_assert_str_eq(weft_last_error()->message, "--l2: 1.5 is out of range (0 to 1)");
    cr_assert_eq(v, 1e-3, "untouched on failure");
    cr_assert_eq(weft_parse_int("--steps", "-9223372036854775808", INT64_MIN, 0, &n), WEFT_OK);
    cr_assert_eq(n, INT64_MIN);
    cr_assert_eq(weft_parse_int("--steps", "9223372036854775808", 0, INT64_MAX, &n), WEFT_EINVAL);
    cr_assert_eq(weft_parse_int("--steps", "1 2", 0, 9, &n), WEFT_EINVAL);
    cr_assert_eq(weft_parse_int("--steps", "--1", -9, 9, &n), WEFT_EINVAL);
    cr_assert_eq(n, INT64_MIN);
}

Test(spec, the_nearest_word_is_found_and_far_ones_are_not)
{
    static const char *const words[] = {"qsgd", "raw", "natural", "ring", "doubling"};
    cr_assert_str_eq(weft_nearest("qsdg", words, 5), "qsgd");
    cr_assert_str_eq(weft_nearest("rign", words, 5), "ring");
    cr_assert_str_eq(weft_nearest("rwa", words, 5), "raw");
    cr_assert_str_eq(weft_nearest("natrual", words, 5), "natural");
    cr_assert_str_eq(weft_nearest("doublign", words, 5), "doubling");
    cr_assert_null(weft_nearest("halving", words, 3));
    cr_assert_null(weft_nearest("xy", words, 5), "two edits would turn it into anything");
    cr_assert_null(weft_nearest("", words, 5));
    cr_assert_null(weft_nearest("raw", words, 0));
}
