/* SPDX-License-Identifier: Apache-2.0 */
/* Rates and latencies with units: "100mbit", "50us". */
#include "topology/units.h"

#include <stdio.h>
#include <string.h>

#include "base/fpenv.h"
#include "base/spec.h"
#include "base/status.h"
#include <weft/topology.h>

enum { WORD = 48 };

typedef struct unit {
    const char *name;
    double times, per; /* value = number * times / per: both whole, so one rounding each */
} unit;

/* Bits per second to bytes per second, and seconds; a name that ends with another stands before it.
 */
static const unit rates[] = {{"kbit", 1e3, 8},  {"mbit", 1e6, 8}, {"gbit", 1e9, 8},
                             {"tbit", 1e12, 8}, {"bit", 1, 8},    {"", 1, 8}};
static const unit latencies[] = {
    {"ns", 1, 1e9}, {"us", 1, 1e6}, {"ms", 1, 1e3}, {"s", 1, 1}, {"", 1, 1}};

/* The unit that the text ends with; the empty one, the last, fits any. */
static const unit *find_unit(const unit *units, const char *text, size_t len)
{
    for (;; units++) {
        const size_t n = strlen(units->name);
        if (n < len && !strcmp(text + len - n, units->name))
            return units;
        if (n == 0)
            return units;
    }
}

static int parse(const char *what, const char *form, const unit *units, double min, double max,
                 const char *text, double *ret)
{
    char number[WORD];
    const size_t len = text ? strlen(text) : 0;
    double v = 0;
    if (len == 0 || len >= sizeof(number))
        return weft_fail(WEFT_EINVAL, "%s: \"%.40s\" is no %s", what, text ? text : "", form);
    const unit *u = find_unit(units, text, len);
    snprintf(number, sizeof(number), "%.*s", (int)(len - strlen(u->name)), text);
    const fenv_t callers = weft_fp_enter(); /* reading digits rounds too */
    const int code = weft_parse_number(what, number, -1e300, 1e300, &v);
    v = v * u->times / u->per + 0.0; /* -0 becomes 0 */
    weft_fp_leave(&callers);
    if (code != WEFT_OK)
        return weft_fail(WEFT_EINVAL, "%s: \"%.40s\" is no %s", what, text, form);
    if (!(v >= min && v <= max))
        return weft_fail(WEFT_EINVAL, "%s: %s is out of range (%s)", what, text,
                         units == rates ? "1bit to 1000000tbit" : "0s to 3600s");
    *ret = v;
    return WEFT_OK;
}

int weft_rate_parse(const char *text, double *ret)
{
    return parse("rate", "rate like 100mbit (bit, kbit, mbit, gbit, tbit per second)", rates,
                 WEFT_RATE_LEAST, WEFT_RATE_MOST, text, ret);
}

int weft_latency_parse(const char *text, double *ret)
{
    return parse("latency", "time like 50us (ns, us, ms, s)", latencies, 0.0, WEFT_LATENCY_MOST,
                 text, ret);
}
