/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of <weft/types.h>. */
#include <weft/types.h>

#include <stdio.h>
#include <string.h>

#include "base/spec.h"
#include "base/status.h"

#ifndef WEFT_VERSION
#error "the build defines WEFT_VERSION, a string"
#endif

static const char *const dtype_words[] = {
#define DTYPE_WORDS(name, type, words) words,
    WEFT_DTYPE_MAP(DTYPE_WORDS)
#undef DTYPE_WORDS
};

static const size_t dtype_sizes[] = {
#define DTYPE_SIZE(name, type, words) sizeof(type),
    WEFT_DTYPE_MAP(DTYPE_SIZE)
#undef DTYPE_SIZE
};

static const char *const op_words[] = {
#define OP_WORDS(name, words) words,
    WEFT_OP_MAP(OP_WORDS)
#undef OP_WORDS
        [WEFT_USER] = "user",
};

/* Index of name among count words; -1 with an error text that lists them. */
static int find_word(const char *what, const char *name, const char *const *words, int count)
{
    char all[256] = "";
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        if (name && !strcmp(name, words[i]))
            return i;
        len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", words[i]);
    }
    if (!name)
        name = "";
    const char *near = weft_nearest(name, words, (size_t)count);
    weft_fail(WEFT_EINVAL, "%s \"%.40s\" is unknown%s%s%s: %s", what, name,
              near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", all);
    return -1;
}

size_t weft_dtype_bytes(weft_dtype dtype)
{
    return (unsigned)dtype < WEFT_DTYPE_COUNT ? dtype_sizes[dtype] : 0;
}

const char *weft_dtype_name(weft_dtype dtype)
{
    return (unsigned)dtype < WEFT_DTYPE_COUNT ? dtype_words[dtype] : "unknown";
}

const char *weft_op_name(weft_op op)
{
    return (unsigned)op < WEFT_OP_COUNT ? op_words[op] : "unknown";
}

int weft_dtype_parse(const char *name, weft_dtype *ret)
{
    int i = find_word("dtype", name, dtype_words, WEFT_DTYPE_COUNT);
    if (i < 0)
        return WEFT_EINVAL;
    *ret = (weft_dtype)i;
    return WEFT_OK;
}

int weft_op_parse(const char *name, weft_op *ret)
{
    int i = find_word("op", name, op_words, WEFT_OP_COUNT);
    if (i < 0)
        return WEFT_EINVAL;
    *ret = (weft_op)i;
    return WEFT_OK;
}

const char *weft_version(void)
{
    return WEFT_VERSION;
}
