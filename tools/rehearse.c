/* SPDX-License-Identifier: Apache-2.0 */
#include "rehearse.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/info.h>
#include <weft/status.h>

enum { NAMES = 64 };

const char *weft_rehearsed_algo(const char *algo)
{
    return algo != NULL && strncmp(algo, "plan:", 5) == 0 ? "auto" : algo;
}

int weft_check_algo(const weft_cli *cli, const char *origin, const char *collective,
                    const char *algo)
{
    const char *names[NAMES + 2] = {"auto"};
    size_t n = 1;
    weft_info info;
    const size_t length = algo != NULL ? strcspn(algo, ":") : 0;
    if (algo == NULL || strcmp(weft_rehearsed_algo(algo), "auto") == 0) {
        return 0;
    }
    for (int i = 0; n <= NAMES && weft_info_get(WEFT_FAMILY_ALGO, i, &info); i++) {
        if (strcmp(info.scope, collective) != 0) {
            continue;
        }
        if (strlen(info.name) == length && memcmp(info.name, algo, length) == 0) {
            return 0; /* its parameters are for the rehearsal */
        }
        names[n++] = info.name;
    }
    if (n == 1) {
        return weft_cli_refuse(cli, "%s '%s': %s has no algorithms to choose from", origin, algo,
                               collective);
    }
    char list[512] = "";
    for (size_t i = 0, at = 0; i < n && at < sizeof(list); i++) {
        const int len = snprintf(list + at, sizeof(list) - at, "%s%s", i > 0 ? ", " : "", names[i]);
        at += len > 0 ? (size_t)len : 0;
    }
    return weft_cli_refuse(cli, "%s '%s' is no algorithm of %s; nearest: %s (there are %s)", origin,
                           algo, collective, weft_cli_nearest(algo, names), list);
}

int weft_alone_open(const weft_cli *cli, weft_alone *ret)
{
    weft_group_opts opts;
    *ret = (weft_alone){0};
    weft_group_opts_init(&opts);
    opts.link = "mem";
    opts.peers = 1;
    opts.rank = 0;
    const char *rules = getenv("WEFT_ALGO"), *topology = getenv("WEFT_TOPOLOGY"),
               *order = getenv("WEFT_ORDER");
    if (rules != NULL && strstr(rules, "plan:") != NULL) {
        opts.algo = "auto"; /* as weft_rehearsed_algo() */
    }
    /* These may be of the number of peers that there will be, which judge them. */
    if (topology != NULL && topology[0] != '\0') {
        opts.topology = "complete";
    }
    if (order != NULL && order[0] != '\0') {
        opts.order = "0";
    }
    if (weft_hub_open(&ret->hub, 1) == WEFT_OK) {
        opts.hub = ret->hub;
        if (weft_group_open(&ret->group, &opts) == WEFT_OK) {
            return 0;
        }
    }
    (void)weft_cli_refuse(cli, "%s", weft_last_error()->message);
    return weft_exit_of(weft_last_error()->code);
}

void weft_alone_close(weft_alone *alone)
{
    weft_group_close(&alone->group);
    weft_hub_close(&alone->hub);
}

int weft_rehearse_call(const weft_cli *cli, const weft_kind *kind, weft_dtype dtype, weft_op op,
                       const weft_coll_opts *coding)
{
    weft_coll_opts opts = *coding;
    const uint64_t in = 0; /* room for an element of any type */
    uint64_t out = 0;
    const size_t count = 1;
    const weft_kind_args args = {.in = &in,
                                 .out = &out,
                                 .count = count,
                                 .in_counts = &count,
                                 .out_counts = &count,
                                 .dtype = dtype,
                                 .op = op,
                                 .opts = &opts};
    weft_alone alone;
    opts.algo = weft_rehearsed_algo(coding->algo);
    const int bad = weft_alone_open(cli, &alone);
    const int code = bad == 0 ? kind->call(alone.group, &args, NULL) : WEFT_OK;
    if (code != WEFT_OK) {
        (void)weft_cli_refuse(cli, "%s", weft_last_error()->message);
    }
    weft_alone_close(&alone);
    return bad != 0 ? bad : weft_exit_of(code);
}
