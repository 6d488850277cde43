/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of rates and latencies, everywhere in this folder; weft_rate_parse() and
 * weft_latency_parse() read them. */
#ifndef WEFT_TOPOLOGY_UNITS_H
#define WEFT_TOPOLOGY_UNITS_H

#define WEFT_RATE_LEAST 0.125    /* bytes per second: one bit per second */
#define WEFT_RATE_MOST 1.25e17   /* an exabit per second */
#define WEFT_LATENCY_MOST 3600.0 /* seconds */

#endif
