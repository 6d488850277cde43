/* SPDX-License-Identifier: Apache-2.0 */
#include "roster/hostlist.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { GROUPS = 4, DIGITS = 9 };

/* One "prefix[10,20-22]suffix[…]" word: literal text and bracket groups in turn. */
typedef struct word {
    const char *literal[GROUPS + 1], *ranges[GROUPS];
    int literal_len[GROUPS + 1], ranges_len[GROUPS];
    int groups;
} word;

/* Reads a number of at most DIGITS digits; its width counts leading zeros. */
static bool take_number(const char **at, const char *end, long *value, int *width)
{
    const char *p = *at;
    long v = 0;
    int digits = 0;
    while (p < end && isdigit((unsigned char)*p) && digits < DIGITS) {
        v = v * 10 + (*p++ - '0');
        digits++;
    }
    if (digits == 0 || (p < end && isdigit((unsigned char)*p)))
        return false;
    *at = p;
    *value = v;
    *width = digits;
    return true;
}

/* How many numbers the ranges hold; the index-th of them as text. false: malformed. */
static bool expand(const char *ranges, int len, size_t index, size_t *count, char out[16])
{
    const char *p = ranges, *end = ranges + len;
    *count = 0;
    out[0] = '\0';
    for (;;) {
        long first, last;
        int width, ignored;
        if (!take_number(&p, end, &first, &width))
            return false;
        last = first;
        if (p < end && *p == '-') {
            p++;
            if (!take_number(&p, end, &last, &ignored) || last < first)
                return false;
        }
        size_t n = (size_t)(last - first) + 1;
        if (index >= *count && index < *count + n)
            snprintf(out, 16, "%0*ld", width, first + (long)(index - *count));
        *count += n;
        if (p == end)
            return true;
        if (*p++ != ',')
            return false;
    }
}

/* Cuts the next word off the list. false: malformed. */
static bool take_word(const char **at, word *w)
{
    const char *p = *at;
    *w = (word){.literal = {p}};
    while (*p && *p != ',') {
        if (*p == ']' || isspace((unsigned char)*p))
            return false;
        if (*p != '[') {
            w->literal_len[w->groups]++;
            p++;
            continue;
        }
        const char *close_at = strchr(p, ']');
        if (!close_at || w->groups == GROUPS)
            return false;
        w->ranges[w->groups] = p + 1;
        w->ranges_len[w->groups] = (int)(close_at - p - 1);
        w->groups++;
        p = close_at + 1;
        w->literal[w->groups] = p;
    }
    if (p == *at)
        return false;
    if (*p == ',' && *++p == '\0')
        return false;
    *at = p;
    return true;
}

/* The index-th host of a word; *count how many it has. The last group counts fastest. */
static bool word_host(const word *w, size_t index, size_t *count, char *out, size_t cap)
{
    size_t sizes[GROUPS] = {0}, left = index;
    char number[GROUPS][16];
    *count = 1;
    for (int g = 0; g < w->groups; g++) {
        if (!expand(w->ranges[g], w->ranges_len[g], 0, &sizes[g], number[g]) ||
            sizes[g] > (1u << 20) || *count > (1u << 20))
            return false;
        *count *= sizes[g];
    }
    if (index >= *count)
        return true;
    for (int g = w->groups - 1; g >= 0; g--) {
        size_t ignored;
        if (sizes[g] == 0 ||
            !expand(w->ranges[g], w->ranges_len[g], left % sizes[g], &ignored, number[g]))
            return false;
        left /= sizes[g];
    }
    size_t len = 0;
    for (int g = 0; g <= w->groups; g++) {
        len += (size_t)snprintf(out + len, cap - len, "%.*s%s", w->literal_len[g], w->literal[g],
                                g < w->groups ? number[g] : "");
        if (len >= cap)
            return false;
    }
    return true;
}

int weft_hostlist_get(const char *list, size_t index, char *out, size_t cap)
{
    size_t before = 0;
    for (const char *p = list; *p;) {
        word w;
        size_t count;
        if (!take_word(&p, &w) || !word_host(&w, index - before, &count, out, cap))
            return weft_fail(WEFT_EINVAL, "host list \"%s\" is malformed", list);
        if (index - before < count)
            return WEFT_OK;
        before += count;
    }
    return weft_fail(WEFT_EINVAL, "host list \"%s\" has no host number %zu", list, index + 1);
}
