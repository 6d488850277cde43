/* SPDX-License-Identifier: Apache-2.0 */
/* Single words of a command line: numbers with ranges, nearest names, exit statuses. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <weft/status.h>

bool weft_cli_read_real(const char *text, double min, double max, double *ret)
{
    char *end = NULL;
    if (*text == '\0' || isspace((unsigned char)*text)) {
        return false;
    }
    errno = 0;
    const double value = strtod(text, &end);
    const bool overflow = errno == ERANGE && fabs(value) > 1.0;
    if (*end != '\0' || overflow || !isfinite(value) || value < min || value > max) {
        return false;
    }
    *ret = value;
    return true;
}

bool weft_cli_read_whole(const char *text, double min, double max, int64_t *ret)
{
    char *end = NULL;
    if (*text == '\0' || isspace((unsigned char)*text)) {
        return false;
    }
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (*end != '\0' || errno == ERANGE || (double)value < min || (double)value > max) {
        return false;
    }
    *ret = value;
    return true;
}

bool weft_cli_read_size(const char *text, double min, double max, size_t *ret)
{
    static const char units[] = "KMGT";
    char *end = NULL;
    if (!isdigit((unsigned char)*text)) {
        return false;
    }
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno == ERANGE) {
        return false;
    }
    unsigned shift = 0;
    if (*end != '\0') {
        const char *unit = strchr(units, toupper((unsigned char)*end));
        if (unit == NULL) {
            return false;
        }
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
        if (strcmp(end, "iB") == 0) {
            end += 2;
        }
    }
    const double value = ldexp((double)number, (int)shift);
    if (*end != '\0' || value < min || value > max || value > ldexp(1.0, 62)) {
        return false;
    }
    *ret = (size_t)(number << shift);
    return true;
}

/* Edit distance with swaps of neighbours (optimal string alignment). Words longer than the rows
 * hold are compared by their beginnings: names are short. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t rows[3][LONGEST + 1];
    const size_t la = strnlen(a, LONGEST), lb = strnlen(b, LONGEST);
    for (size_t j = 0; j <= lb; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= la; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                above2[j - 2] + 1 < best) {
                best = above2[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    return rows[la % 3][lb];
}

const char *weft_cli_nearest(const char *word, const char *const *names)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (; *names != NULL; names++) {
        /* What only lacks its end is nearer than what differs. */
        const size_t far = *word != '\0' && strncmp(word, *names, strlen(word)) == 0
                               ? 1
                               : 2 * distance(word, *names);
        if (far < least) {
            least = far;
            nearest = *names;
        }
    }
    return nearest;
}

int weft_exit_of(int status)
{
    switch (status) {
    case WEFT_OK:
        return WEFT_EXIT_DONE;
    case WEFT_EPEER:
    case WEFT_ETIMEDOUT:
    case WEFT_EBROKEN:
    case WEFT_ECANCELED:
        return WEFT_EXIT_LOST;
    case WEFT_EINVAL:
    case WEFT_EMISMATCH:
    case WEFT_ENOTSUP:
    case WEFT_ENONFINITE:
    case WEFT_EDUPLICATE:
    case WEFT_EIO: /* a file, folder or address that was named cannot be used */
        return WEFT_EXIT_USAGE;
    default:
        return WEFT_EXIT_WRONG;
    }
}
