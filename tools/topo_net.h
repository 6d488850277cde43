/* SPDX-License-Identifier: Apache-2.0 */
/* The network that the options of `weft topo sim` describe. */
#ifndef WEFT_TOOLS_TOPO_NET_H
#define WEFT_TOOLS_TOPO_NET_H

#include "topo.h"

/* clang-format off */
#define WEFT_TOPO_NET_OPTIONS                                                                      \
    {.name = "link", .letter = 'l', .kind = WEFT_CLI_TEXT, .metavar = "RATE,LATENCY",              \
     .help = "each peer's link, like 100mbit,50us; else loopback, 1GB,0, and where --links or a\n"        \
             "                            topology tell rates, no limit but theirs"},                        \
    {.name = "burst", .kind = WEFT_CLI_SIZE, .metavar = "BYTES", .value = "0", .min = 0,           \
     .max = 0x1p40, .help = "that a link passes at its peak after a pause (tc-tbf)"},              \
    {.name = "local", .kind = WEFT_CLI_TEXT, .metavar = "RATE,LATENCY",                            \
     .help = "between peers of one host (--hosts); else 1GB,0"},                                   \
    {.name = "trunk", .kind = WEFT_CLI_TEXT, .metavar = "RATE",                                    \
     .help = "of each host, shared by its peers; else as --link"},                                 \
    {.name = "slow", .kind = WEFT_CLI_LIST, .metavar = "RANK:RATE",                                \
     .help = "a peer with another link; may be given again"},                                      \
    {.name = "late", .kind = WEFT_CLI_LIST, .metavar = "RANK:SECONDS",                             \
     .help = "a peer that calls later; may be given again"},                                       \
    {.name = "edge", .kind = WEFT_CLI_LIST, .metavar = "A:B:RATE,LATENCY",                         \
     .help = "from A to B no faster, with this latency; may be given again"},                      \
    {.name = "lanes", .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = "4", .min = 1, .max = 64,   \
     .help = "at work at a time"},                                                                 \
    {.name = "net", .kind = WEFT_CLI_TEXT, .metavar = "KEY=X,...",                                   \
     .help = "other figures of the model: send=20us,ack=0.015 (see docs/topologies.md)"}
/* clang-format on */

typedef struct weft_topo_net {
    weft_network n;
    weft_peer_link *peers;
    weft_edge_link *edges;
} weft_topo_net;

/* For the peers of a query, on one host or several; rates and latencies of its links and topology
 * are those of edges. false: told, nothing to free. */
bool weft_topo_net_read(const weft_cli *cli, const weft_topo_query *query, weft_topo_net *ret);
void weft_topo_net_free(weft_topo_net *net);
/* Every figure by its key. */
json_t *weft_topo_net_json(const weft_topo_net *net);
/* One line for people. */
void weft_topo_net_print(const weft_topo_net *net, bool hosts, FILE *to);

#endif
