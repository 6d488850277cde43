/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

typedef struct rule {
    weft_coll coll;
    uint64_t from, to; /* bytes */
    char spec[WEFT_SPEC_TEXT];
} rule;

static weft_coll coll_of(const char *name, size_t len)
{
    int coll = 0;

    while (coll < WEFT_COLL_COUNT && (strlen(weft_coll_name((weft_coll)coll)) != len ||
                                      memcmp(weft_coll_name((weft_coll)coll), name, len) != 0))
        coll++;
    return (weft_coll)coll;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "64K" at *at, which moves behind it. false: no size, or above 2^62. */
static bool read_size(const char **at, uint64_t *ret)
{
    static const char units[] = "KMG";
    uint64_t n = 0;

    if (!digit(**at))
        return false;
    for (; digit(**at); (*at)++) {
        n = n * 10 + (uint64_t)(**at - '0');
        if (n > UINT64_C(1) << 32)
            return false;
    }
    const char *unit = **at ? strchr(units, **at) : NULL;
    if (unit) {
        n <<= 10 * (unit - units + 1);
        (*at)++;
    }
    *ret = n;
    return true;
}

static int malformed(const char *text, size_t len)
{
    return weft_fail(WEFT_EINVAL,
                     "algorithm rule \"%.*s\": not COLLECTIVE=SPEC or COLLECTIVE:FROM-TO=SPEC "
                     "(allreduce:0-64K=doubling)",
                     (int)(len < 80 ? len : 80), text);
}

/* One rule of len bytes. A SPEC alone speaks of allreduce. */
static int read_rule(const char *text, size_t len, rule *ret)
{
    const size_t name = strcspn(text, ":=;");
    const bool sizes = text[name] == ':' && digit(text[name + 1]);
    const char *at = text + name + 1;

    *ret = (rule){.coll = coll_of(text, name), .to = UINT64_MAX};
    if (text[name] != '=' && !sizes) {
        ret->coll = WEFT_COLL_ALLREDUCE;
        at = text;
    } else if (ret->coll == WEFT_COLL_COUNT) {
        return weft_fail(WEFT_EINVAL, "algorithm rule: there is no collective \"%.*s\"",
                         (int)(name < 80 ? name : 80), text);
    }
    if (sizes) {
        if (!read_size(&at, &ret->from) || *at++ != '-' ||
            (digit(*at) && !read_size(&at, &ret->to)) || *at++ != '=' || ret->from >= ret->to)
            return malformed(text, len);
    }
    const size_t rest = len - (size_t)(at - text);
    if (rest == 0 || rest >= sizeof ret->spec)
        return malformed(text, len);
    memcpy(ret->spec, at, rest);
    return WEFT_OK;
}

static int check_rule(const rule *r)
{
    const weft_algo *a;
    char name[WEFT_SPEC_NAME];

    if (strcmp(r->spec, "auto") == 0)
        return WEFT_OK;
    if (weft_spec_name(r->spec, name))
        return weft_fail_context("algorithm rule for %s", weft_coll_name(r->coll));
    return weft_algo_find(r->coll, name, &a);
}

int weft_rules_check(const char *rules)
{
    rule r;

    for (const char *at = rules;; at++) {
        const size_t len = strcspn(at, ";");
        int rc = read_rule(at, len, &r);
        if (!rc)
            rc = check_rule(&r);
        at += len;
        if (rc || *at == '\0')
            return rc;
    }
}

bool weft_rules_find(const char *rules, weft_coll coll, uint64_t bytes, char out[WEFT_SPEC_TEXT])
{
    rule r;

    for (const char *at = rules; at; at++) {
        const size_t len = strcspn(at, ";");
        if (read_rule(at, len, &r))
            return false;
        if (r.coll == coll && bytes >= r.from && bytes < r.to) {
            memcpy(out, r.spec, sizeof r.spec);
            return true;
        }
        at += len;
        if (*at == '\0')
            break;
    }
    return false;
}
