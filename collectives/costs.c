/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The constants of the cost model, from measurements of ZeroMQ over loopback tcp on 2 shared cores
 * (AMD EPYC, Zen 4) and on links shaped to 1 Gbit/s:
 *  - a message of 1 KiB that is waited for takes 60 us (recursive doubling, 2 peers): 40 us pass
 *    until it is there, 20 us of work at the sender, which a rank that sends many pays for each
 *    (4 peers, 16 KiB: 6 messages in a row 511 us, 6 messages in 2 rounds 380 us);
 *  - a peer sends 0.8 to 1.5 GB/s (2 and 4 peers, ring, 4 and 64 MiB);
 *  - decoding and adding floats reads 8 GB/s or more of a vector that lies in memory;
 *  - a rank that 7 peers send to at once loses 3 to 8 % (8 peers, direct exchange against ring).
 */
#include <stdio.h>

#include "base/status.h"
#include "collectives/algo.h"

const weft_costs weft_costs_default = {
    .round_s = 40e-6,
    .message_s = 20e-6,
    .byte_s = 1.0 / 1e9,
    .reduce_s = 1.0 / 8e9,
    .incast = 0.01,
};

static const weft_param params[] = {
    {.key = "round", .value = "40e-6", .min = 0, .max = 100, .help = "s until a message is there"},
    {.key = "message", .value = "20e-6", .min = 0, .max = 100, .help = "s of work to send one"},
    {.key = "byte", .value = "1e-9", .min = 0, .max = 1, .help = "s for a byte sent by one peer"},
    {.key = "reduce", .value = "1.25e-10", .min = 0, .max = 1, .help = "s for a byte combined"},
    {.key = "incast",
     .value = "0.01",
     .min = 0,
     .max = 100,
     .help = "share of the sending time for each further peer that sends to a rank"},
    {.key = NULL}};

int weft_costs_parse(const char *text, weft_costs *ret)
{
    char spec[WEFT_SPEC_TEXT];
    weft_spec s;

    if (snprintf(spec, sizeof spec, "costs:%s", text) >= (int)sizeof spec)
        return weft_fail(WEFT_EINVAL, "costs: the text is too long");
    const int rc = weft_spec_parse("costs", text[0] ? spec : "costs", params, &s);
    if (rc)
        return rc;
    *ret = (weft_costs){.round_s = s.number[0],
                        .message_s = s.number[1],
                        .byte_s = s.number[2],
                        .reduce_s = s.number[3],
                        .incast = s.number[4]};
    return WEFT_OK;
}
