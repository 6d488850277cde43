/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `weft topo` share: their commands, words for networks, the query that the
 * options describe. */
#ifndef WEFT_TOOLS_TOPO_H
#define WEFT_TOOLS_TOPO_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>
#include <weft/explain.h>
#include <weft/info.h>
#include <weft/topology.h>

#include "cli.h"
#include "coding_words.h"

extern const weft_command weft_topo_list, weft_topo_draw, weft_topo_verify, weft_topo_sim,
    weft_topo_explain, weft_topo_export;

/* Rows of an option table that weft_topo_query_read() reads. */
/* clang-format off */
#define WEFT_TOPO_PEERS_OPTION(some)                                                               \
    {.name = "peers", .letter = 'n', .kind = WEFT_CLI_WHOLE, .metavar = "N", .value = some,        \
     .min = 1, .max = 65535, .help = "number of peers"}
#define WEFT_TOPO_QUERY_OPTIONS                                                                    \
    {.name = "dtype", .letter = 'd', .kind = WEFT_CLI_TEXT, .metavar = "T", .value = "float32",    \
     .help = "element type"},                                                                      \
    {.name = "codec", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",                                    \
     .help = "how contributions are encoded; else what goes with the algorithm, raw"},             \
    {.name = "reply-codec", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",                              \
     .help = "how the replies of algorithm scatter are encoded"},                                  \
    {.name = "fidelity", .kind = WEFT_CLI_TEXT, .metavar = "F",                                    \
     .choices = WEFT_FIDELITY_CHOICES, .help = "what auto may choose; else exact"},                \
    {.name = "residual", .kind = WEFT_CLI_FLAG,                                                    \
     .help = "the call has a residual, which a biased codec needs where sums are encoded again"},  \
    {.name = "own", .kind = WEFT_CLI_FLAG,                                                         \
     .help = "the call asks for its own contribution as it was decoded"},                          \
    {.name = "root", .letter = 'r', .kind = WEFT_CLI_WHOLE, .metavar = "RANK", .value = "0",       \
     .min = 0, .max = 65534, .help = "of collectives that have one"},                              \
    {.name = "hosts", .kind = WEFT_CLI_TEXT, .metavar = "HxP",                                     \
     .help = "H hosts of P peers each, or a comma list of every peer's host"},                     \
    {.name = "topology", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",                                 \
     .help = "who may talk to whom; else everybody to everybody"},                                 \
    {.name = "links", .kind = WEFT_CLI_TEXT, .metavar = "FILE",                                    \
     .help = "rate and latency of all pairs (weft/topology.h tells the form)"},                    \
    {.name = "order", .kind = WEFT_CLI_TEXT, .metavar = "RANKS",                                   \
     .help = "of rings and trees, the rank at each place: a comma list; or ring, tree or tree:K,\n" \
             "                            worked out from --links"},                               \
    {.name = "lane", .kind = WEFT_CLI_SIZE, .metavar = "BYTES", .value = "0", .min = 0,            \
     .max = 0x1p40, .help = "elements of a lane, in bytes; 0: as weft cuts it"}
/* clang-format on */

/* Its codec in words. */
static inline const char *weft_topo_codec(const weft_query *q)
{
    return q->codec != NULL ? q->codec : "raw";
}

/* A query and the memory behind it. */
typedef struct weft_topo_query {
    weft_query q;
    int *hosts, *order;
    weft_topology *topology;
    weft_links *links;
} weft_topo_query;

/* Read the rows above. collective: one that there is (weft_topo_collective). false: told, nothing
 * to free. */
bool weft_topo_query_read(const weft_cli *cli, const char *collective, weft_topo_query *ret);
void weft_topo_query_free(weft_topo_query *query);
/* Has its input or output a block for every peer? */
bool weft_topo_has_blocks(const char *collective);
/* Elements of the call for a size as nccl-tests count it: of all blocks where there are blocks; one
 * at least. *ret_bytes: the size that is really meant. */
uint64_t weft_topo_count(const weft_query *q, size_t bytes, size_t *ret_bytes);
/* busbw as a multiple of algbw (nccl-tests, PERFORMANCE.md): bytes that a link must carry for each
 * byte of the size. */
double weft_topo_bus_factor(const char *collective, int peers);

/* The index-th collective that has an algorithm, NULL behind the last. */
const char *weft_topo_collective_at(int index);
/* Is it one? If not, told with the nearest. */
bool weft_topo_collective(const weft_cli *cli, const char *name);

/* What an algorithm of the table needs, as queries of its collective tell. Static storage. */
const char *weft_topo_needs(const weft_info *info);
/* Does it keep to the edges of a topology? */
bool weft_topo_needs_topology(const weft_info *info);
/* The index-th topology of this build. false: there is none. */
bool weft_topo_topology_at(int index, weft_info *ret);

/* "100mbit" (bits per second, powers of 1000), "1GB" (bytes per second), plain: bits per second;
 * "50us", "0.01". false: neither, or out of range. */
bool weft_topo_read_rate(const char *text, double *ret);
bool weft_topo_read_seconds(const char *text, double *ret);
/* "RATE,LATENCY" or "RATE". false: told. */
bool weft_topo_read_link(const weft_cli *cli, const char *option, double *ret_rate,
                         double *ret_latency);
/* "RANK:TEXT" into the rank and where the text begins. false: it is not that. */
bool weft_topo_read_rank(const char *text, int peers, int *ret_rank, const char **ret_rest);
/* The default of a parameter and its values: "arity=2 (1 … 65535)". */
void weft_topo_param_text(const weft_param *p, char *ret, size_t cap);
/* "3" or "1..64". false: told. */
bool weft_topo_read_span(const weft_cli *cli, const char *option, int *ret_first, int *ret_last);

/* For people: "213.9 ms", "1 Gbit/s", "16 MiB". */
void weft_topo_seconds_text(double seconds, char ret[32]);
void weft_topo_rate_text(double rate, char ret[32]);
void weft_topo_bytes_text(double bytes, char ret[32]);

#endif
