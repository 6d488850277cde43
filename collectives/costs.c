/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The constants of the cost model, from measurements of allreduce over ZeroMQ's tcp on 2 shared
 * cores (AMD EPYC, Zen 4), 2 to 8 peers, 1 KiB to 64 MiB (docs/performance.md).
 *
 * On one host:
 *  - a message of 1 KiB that is waited for takes 65 to 85 us (2 peers); where peers share cores the
 *    work for it weighs more than the waiting: 4 peers, 256 KiB, 2 messages of 256 KiB (doubling)
 *    1.16 ms, 4 of 128 KiB (halving) 1.66 ms, 6 of 64 KiB (ring) 1.78 ms;
 *  - a peer sends 0.8 to 1.7 GB/s (2 and 4 peers, ring, 4 and 64 MiB);
 *  - decoding and adding floats reads 8 GB/s or more of a vector that lies in memory;
 *  - with several senders to a rank the bytes take 1.15 to 1.4 times as long (4 MiB: halving and
 *    scatter against ring).
 * Between hosts, links shaped to 1 Gbit/s:
 *  - TCP carries 95.6 % of the rate;
 *  - a round of one message takes 160 to 210 us: 4 peers, 1 KiB, 6 rounds around the ring 0.96 ms,
 *    2 by doubling 0.43 ms, one of 3 messages 0.52 ms;
 *  - 16 MiB by halving 1.2, by scatter 1.16 times as long as around the ring (8 peers).
 */
#include <stdio.h>

#include "base/status.h"
#include "collectives/algo.h"

const weft_costs weft_costs_host = {
    .round_s = 40e-6,
    .message_s = 60e-6,
    .byte_s = 1e-9,
    .reduce_s = 1.25e-10,
    .incast = 0.35,
};

const weft_costs weft_costs_network = {
    .round_s = 100e-6,
    .message_s = 100e-6,
    .byte_s = 8.4e-9,
    .reduce_s = 1.25e-10,
    .incast = 0.3,
};

const weft_costs *weft_costs_among(const int *host, int size)
{
    for (int r = 1; host && r < size; r++)
        if (host[r] != host[0])
            return &weft_costs_network;
    return &weft_costs_host;
}

static const weft_param params[] = {
    {.key = "round", .value = "0", .min = 0, .max = 100, .help = "s until a message is there"},
    {.key = "message", .value = "0", .min = 0, .max = 100, .help = "s of work to send one"},
    {.key = "byte", .value = "0", .min = 0, .max = 1, .help = "s for a byte sent by one peer"},
    {.key = "reduce", .value = "0", .min = 0, .max = 1, .help = "s for a byte combined"},
    {.key = "incast",
     .value = "0",
     .min = 0,
     .max = 100,
     .help = "share of the sending time, with very many peers that send to a rank"},
    {.key = NULL}};

int weft_costs_parse(const char *text, const weft_costs *rest, weft_costs *ret)
{
    char spec[WEFT_SPEC_TEXT];
    weft_spec s;

    if (snprintf(spec, sizeof spec, "costs:%s", text) >= (int)sizeof spec)
        return weft_fail(WEFT_EINVAL, "costs: the text is too long");
    const int rc = weft_spec_parse("costs", text[0] ? spec : "costs", params, &s);
    if (rc)
        return rc;
    *ret = (weft_costs){.round_s = s.given[0] ? s.number[0] : rest->round_s,
                        .message_s = s.given[1] ? s.number[1] : rest->message_s,
                        .byte_s = s.given[2] ? s.number[2] : rest->byte_s,
                        .reduce_s = s.given[3] ? s.number[3] : rest->reduce_s,
                        .incast = s.given[4] ? s.number[4] : rest->incast};
    return WEFT_OK;
}
