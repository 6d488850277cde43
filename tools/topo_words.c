/* SPDX-License-Identifier: Apache-2.0 */
/* Words of `weft topo`: rates, times, ranks, and the same for people to read. */
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "topo.h"

typedef struct unit {
    const char *name;
    double factor;
} unit;

/* A number that stands before one of the units; the first unit is that of a plain number. */
static bool read_with_unit(const char *text, const unit *units, double min, double max, double *ret)
{
    char number[64];
    const size_t digits = strspn(text, "0123456789.eE+-");
    double value = 0.0;
    /* "1e9" ends with a digit, "1e" would take the unit's first letter for an exponent. */
    size_t len = digits;
    while (len > 0 && !isdigit((unsigned char)text[len - 1]) && text[len - 1] != '.') {
        len--;
    }
    if (len == 0 || len >= sizeof(number)) {
        return false;
    }
    (void)snprintf(number, sizeof(number), "%.*s", (int)len, text);
    if (!weft_cli_read_real(number, -DBL_MAX, DBL_MAX, &value)) {
        return false;
    }
    for (const unit *u = units; u->name != NULL; u++) {
        if (strcmp(text + len, u->name) == 0) {
            value *= u->factor;
            if (!(value >= min && value <= max)) {
                return false;
            }
            *ret = value;
            return true;
        }
    }
    return false;
}

bool weft_topo_read_rate(const char *text, double *ret)
{
    static const unit units[] = {
        {"", 1.0 / 8},      {"bit", 1.0 / 8},   {"kbit", 1e3 / 8}, {"mbit", 1e6 / 8},
        {"gbit", 1e9 / 8},  {"tbit", 1e12 / 8}, {"Mbit", 1e6 / 8}, {"Gbit", 1e9 / 8},
        {"Tbit", 1e12 / 8}, {"B", 1},           {"kB", 1e3},       {"KB", 1e3},
        {"MB", 1e6},        {"GB", 1e9},        {"TB", 1e12},      {NULL, 0}};
    return read_with_unit(text, units, 0.125, 1e17, ret);
}

bool weft_topo_read_seconds(const char *text, double *ret)
{
    static const unit units[] = {{"", 1},      {"s", 1},     {"ms", 1e-3},
                                 {"us", 1e-6}, {"ns", 1e-9}, {NULL, 0}};
    return read_with_unit(text, units, 0.0, 3600.0, ret);
}

bool weft_topo_read_link(const weft_cli *cli, const char *option, double *ret_rate,
                         double *ret_latency)
{
    const char *text = weft_cli_text(cli, option);
    char rate_text[64];
    double rate = 0.0;
    double latency = *ret_latency;
    const size_t len = strcspn(text, ",");
    (void)snprintf(rate_text, sizeof(rate_text), "%.*s", (int)len, text);
    if (len >= sizeof(rate_text) || !weft_topo_read_rate(rate_text, &rate) ||
        (text[len] == ',' && !weft_topo_read_seconds(text + len + 1, &latency))) {
        (void)weft_cli_refuse(cli,
                              "%s '%s': not RATE or RATE,LATENCY, like 1gbit,50us (units: bit kbit "
                              "mbit gbit tbit a second, B kB MB GB TB a second; s ms us ns)",
                              weft_cli_name(cli, option), text);
        return false;
    }
    *ret_rate = rate;
    *ret_latency = latency;
    return true;
}

bool weft_topo_read_rank(const char *text, int peers, int *ret_rank, const char **ret_rest)
{
    char number[16];
    int64_t rank = 0;
    const size_t len = strcspn(text, ":");
    if (text[len] != ':' || len >= sizeof(number)) {
        return false;
    }
    (void)snprintf(number, sizeof(number), "%.*s", (int)len, text);
    if (!weft_cli_read_whole(number, 0, peers - 1, &rank)) {
        return false;
    }
    *ret_rank = (int)rank;
    *ret_rest = text + len + 1;
    return true;
}

void weft_topo_param_text(const weft_param *p, char *ret, size_t cap)
{
    const char *value = p->value != NULL ? p->value : "";
    if (p->text) {
        (void)snprintf(ret, cap, "%s=%s (a text)", p->key, value);
    } else if (p->choices != NULL) {
        (void)snprintf(ret, cap, "%s=%s (%s)", p->key, value, p->choices);
    } else {
        (void)snprintf(ret, cap, "%s=%s (%.10g … %.10g)", p->key, value, p->min, p->max);
    }
}

bool weft_topo_read_span(const weft_cli *cli, const char *option, int *ret_first, int *ret_last)
{
    const char *text = weft_cli_text(cli, option);
    const char *dots = strstr(text, "..");
    char number[16];
    int64_t first = 0;
    int64_t last = 0;
    const size_t len = dots != NULL ? (size_t)(dots - text) : strlen(text);
    (void)snprintf(number, sizeof(number), "%.*s", (int)len, text);
    if (len >= sizeof(number) || !weft_cli_read_whole(number, 1, 65535, &first) ||
        !weft_cli_read_whole(dots != NULL ? dots + 2 : number, (double)first, 65535, &last)) {
        (void)weft_cli_refuse(cli, "%s '%s': not a size like 8 or a range like 1..64, in 1 … 65535",
                              weft_cli_name(cli, option), text);
        return false;
    }
    *ret_first = (int)first;
    *ret_last = (int)last;
    return true;
}

/* value in the largest unit that leaves 1 or more; four digits. */
static void with_unit(double value, const unit *units, char ret[32])
{
    const unit *u = units;
    while (u[1].name != NULL && value < u->factor) {
        u++;
    }
    (void)snprintf(ret, 32, "%.4g %s", value / u->factor, u->name);
}

void weft_topo_seconds_text(double seconds, char ret[32])
{
    static const unit units[] = {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {NULL, 0}};
    with_unit(seconds, units, ret);
}

void weft_topo_rate_text(double rate, char ret[32])
{
    static const unit units[] = {{"Tbit/s", 1e12}, {"Gbit/s", 1e9}, {"Mbit/s", 1e6},
                                 {"kbit/s", 1e3},  {"bit/s", 1},    {NULL, 0}};
    with_unit(rate * 8, units, ret);
}

void weft_topo_bytes_text(double bytes, char ret[32])
{
    static const unit units[] = {{"TiB", 0x1p40}, {"GiB", 0x1p30}, {"MiB", 0x1p20},
                                 {"KiB", 0x1p10}, {"B", 1},        {NULL, 0}};
    with_unit(bytes, units, ret);
}
