/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPEC strings and numbers. The first byte chooses the table of parameters: that of a codec, or one
 * with every kind of parameter. What parses is written out, parses again and writes the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/spec.h"
#include "codec/codec.h"
#include "fuzz_must.h"
#include <weft/status.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const weft_param every_kind[] = {
    {.key = "lr", .value = "0.1", .min = 0, .max = 1e30, .help = "number"},
    {.key = "alpha", .value = "auto", .min = -1, .max = 1, .help = "number or auto"},
    {.key = "steps", .value = "-5", .min = -9e15, .max = 9e15, .integer = 1, .help = "whole"},
    {.key = "rule", .value = "patch", .choices = "patch|keep|hash", .help = "word"},
    {.key = "path", .value = "", .max = 80, .text = 1, .help = "text"},
    {.key = "note", .value = "none", .min = 1, .max = 400, .text = 1, .help = "text"},
    {.key = NULL},
};

/* An error is one line that says something. */
static void check_error(int code)
{
    const weft_error *e = weft_last_error();
    MUST(code == WEFT_EINVAL && e->code == code && *e->message);
    for (const char *p = e->message; *p; p++)
        MUST((unsigned char)*p >= 0x20);
}

static void check_spec(const char *text, const weft_param *params)
{
    weft_spec spec, again;
    char once[WEFT_SPEC_TEXT], twice[WEFT_SPEC_TEXT];
    int code = weft_spec_parse("codec", text, params, &spec);
    if (code != WEFT_OK) {
        check_error(code);
        return;
    }
    weft_spec_format(&spec, params, once, sizeof(once));
    code = weft_spec_parse("codec", once, params, &again);
    MUST(code == WEFT_OK);
    weft_spec_format(&again, params, twice, sizeof(twice));
    MUST(!strcmp(once, twice));
}

static void check_numbers(const char *text)
{
    double v = 0;
    long long n = 0;
    int code = weft_parse_number("--lr", text, -1e10, 1e10, &v);
    if (code == WEFT_OK)
        MUST(v >= -1e10 && v <= 1e10);
    else
        check_error(code);
    code = weft_parse_int("--steps", text, -100, 100, &n);
    if (code == WEFT_OK)
        MUST(n >= -100 && n <= 100);
    else
        check_error(code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"qsgd", "raw", "natural", "doubling", ""};
    if (size == 0)
        return 0;
    char *text = malloc(size);
    MUST(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    const weft_codec_type *type = weft_codec_type_at(data[0] % 4);
    check_spec(text, type ? type->params : every_kind);
    check_numbers(text);
    weft_nearest(text, words, sizeof(words) / sizeof(words[0]));
    weft_codec *c = NULL;
    int code = weft_codec_open(&c, text);
    if (code != WEFT_OK)
        check_error(code);
    weft_codec_close(&c);
    free(text);
    return 0;
}
