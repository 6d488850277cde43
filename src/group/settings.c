/* SPDX-License-Identifier: Apache-2.0 */
/* What an option leaves open the environment says, else a default. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/spec.h"
#include "base/status.h"
#include "collectives/rules.h"
#include "group/group.h"

enum { OPEN_TIMEOUT_MS = 60000, TIMEOUT_MS = 60000, DEAD_LEAST_MS = 50, SPIN_MOST_US = 1000000 };

void weft_group_opts_init(weft_group_opts *opts)
{
    *opts = (weft_group_opts){.size = sizeof(*opts), .rank = -1};
}

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* `zero`: what to say instead of 0; NULL: 0 is a value like any other. */
static int number(const char *name, long long min, long long max, const char *zero, int64_t *value,
                  int64_t otherwise)
{
    long long parsed = otherwise;
    if (*value != 0) {
        return WEFT_OK;
    }
    if (env(name) != NULL) {
        const int rc = weft_parse_int(name, env(name), min, max, &parsed);
        if (rc != WEFT_OK) {
            return rc;
        }
        if (parsed == 0 && zero != NULL) { /* which is the default in options */
            return weft_fail(WEFT_EINVAL, "%s is 0: %s", name, zero);
        }
    }
    *value = parsed;
    return WEFT_OK;
}

static int word(const char *what, const char *given, const char *variable, const char *otherwise,
                const char *const *choices, char *out, size_t cap)
{
    const char *value = given != NULL ? given : env(variable);
    if (value == NULL) {
        value = otherwise;
    }
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (strcmp(choices[i], value) == 0) {
            snprintf(out, cap, "%s", value);
            return WEFT_OK;
        }
    }
    char list[96] = "";
    for (size_t i = 0; choices[i] != NULL; i++) {
        const size_t at = strlen(list);
        snprintf(list + at, sizeof(list) - at, "%s%s", i > 0 ? ", " : "", choices[i]);
    }
    return weft_fail(WEFT_EINVAL, "%s (or %s) is \"%s\": it must be one of %s", what, variable,
                     value, list);
}

static int check_range(const weft_group_opts *o)
{
    if (o->peers < 0 || o->peers > 65535) {
        return weft_fail(WEFT_EINVAL, "weft_group_open: peers is %d, not 0 ... 65535", o->peers);
    }
    if (o->rank < -1 || (o->peers > 0 && o->rank >= o->peers)) {
        return weft_fail(WEFT_EINVAL, "weft_group_open: rank %d of %d peers", o->rank, o->peers);
    }
    if (o->dead_ms != 0 && o->dead_ms < DEAD_LEAST_MS) {
        return weft_fail(WEFT_EINVAL, "weft_group_open: dead_ms is %lld, below %d",
                         (long long)o->dead_ms, DEAD_LEAST_MS);
    }
    if (o->open_timeout_ms < WEFT_FOREVER || o->timeout_ms < WEFT_FOREVER ||
        o->open_timeout_ms > WEFT_LONGEST_MS || o->timeout_ms > WEFT_LONGEST_MS ||
        o->dead_ms > WEFT_LONGEST_MS) {
        return weft_fail(WEFT_EINVAL, "weft_group_open: a timeout is out of range");
    }
    if (o->spin_us < -1 || o->spin_us > SPIN_MOST_US) {
        return weft_fail(WEFT_EINVAL, "weft_group_open: spin_us is %lld, not -1 ... %d",
                         (long long)o->spin_us, SPIN_MOST_US);
    }
    return WEFT_OK;
}

/* What the choice of algorithms goes by. */
static int read_choice(weft_settings *s)
{
    const char *algo = s->opts.algo != NULL ? s->opts.algo : env("WEFT_ALGO");
    const char *costs = s->opts.costs != NULL ? s->opts.costs : env("WEFT_COSTS");
    int rc = WEFT_OK;
    if (algo != NULL && strlen(algo) >= sizeof(s->algo)) {
        return weft_fail(WEFT_EINVAL, "algo (or WEFT_ALGO) is longer than %zu bytes",
                         sizeof(s->algo) - 1);
    }
    if (algo != NULL) {
        memcpy(s->algo, algo, strlen(algo) + 1);
        rc = weft_rules_check(algo);
    }
    if (rc != WEFT_OK) {
        return weft_fail_context("algo (or WEFT_ALGO)");
    }
    s->topology = s->opts.topology != NULL ? s->opts.topology : env("WEFT_TOPOLOGY");
    s->order = s->opts.order != NULL ? s->opts.order : env("WEFT_ORDER");
    weft_costs read;
    s->costs = costs != NULL ? costs : "";
    if (weft_costs_parse(s->costs, &weft_costs_host, &read) != WEFT_OK) {
        return weft_fail_context("costs (or WEFT_COSTS)");
    }
    return WEFT_OK;
}

int weft_settings_read(const weft_group_opts *opts, weft_settings *ret)
{
    static const char *const links[] = {"auto", "tcp", "ipc", "mem", NULL};
    static const char no_limit[] = "1 or more, or -1 for no limit; unset for the default";
    static const char not_at_all[] = "-1 for not at all; unset for the default";
    static const char *const checksums[] = {"auto", "on", "off", NULL};
    weft_settings s = {0};
    weft_group_opts_init(&s.opts);
    if (opts != NULL) {
        if (opts->size < offsetof(weft_group_opts, meet) || opts->size > 4096) {
            return weft_fail(WEFT_EINVAL,
                             "weft_group_open: opts->size is %zu: use weft_group_opts_init()",
                             opts->size);
        }
        memcpy(&s.opts, opts, opts->size < sizeof(s.opts) ? opts->size : sizeof(s.opts));
        s.opts.size = sizeof(s.opts);
    }
    weft_group_opts *o = &s.opts;
    int64_t seed = (int64_t)o->seed;
    int rc = check_range(o);
    if (rc == WEFT_OK) {
        rc = word("link", o->link, "WEFT_LINK", o->hub != NULL ? "mem" : "auto", links, s.link,
                  sizeof(s.link));
    }
    if (rc == WEFT_OK) {
        rc = word("checksum", o->checksum, "WEFT_CHECKSUM", "auto", checksums, s.checksum,
                  sizeof(s.checksum));
    }
    if (rc == WEFT_OK) {
        rc = number("WEFT_TIMEOUT_MS", WEFT_FOREVER, WEFT_LONGEST_MS, no_limit, &o->timeout_ms,
                    TIMEOUT_MS);
    }
    if (rc == WEFT_OK) {
        rc = number("WEFT_OPEN_TIMEOUT_MS", WEFT_FOREVER, WEFT_LONGEST_MS, no_limit,
                    &o->open_timeout_ms, OPEN_TIMEOUT_MS);
    }
    if (rc == WEFT_OK) {
        rc = number("WEFT_DEAD_MS", DEAD_LEAST_MS, WEFT_LONGEST_MS, NULL, &o->dead_ms, 0);
    }
    if (rc == WEFT_OK) {
        rc = number("WEFT_SPIN_US", -1, SPIN_MOST_US, not_at_all, &o->spin_us, 0);
    }
    if (rc == WEFT_OK) {
        rc = number("WEFT_SEED", 0, INT64_MAX, NULL, &seed, 1);
    }
    if (rc != WEFT_OK) {
        return rc;
    }
    o->seed = (uint64_t)seed;
    if (strcmp(s.link, "mem") == 0 && o->hub == NULL) {
        return weft_fail(WEFT_EINVAL, "weft_group_open: link mem needs a hub (threads of one "
                                      "process share it)");
    }
    if (strcmp(s.link, "mem") != 0 && o->hub != NULL) {
        return weft_fail(WEFT_EINVAL, "weft_group_open: a hub goes with link mem, not %s", s.link);
    }
    rc = read_choice(&s);
    if (rc == WEFT_OK) {
        *ret = s;
    }
    return rc;
}
