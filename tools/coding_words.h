/* SPDX-License-Identifier: Apache-2.0 */
/* Options that say how contributions and replies are encoded, and on which way they go. */
#ifndef WEFT_TOOLS_CODING_WORDS_H
#define WEFT_TOOLS_CODING_WORDS_H

#include <weft/collective.h>

#include "cli.h"

#define WEFT_FIDELITY_CHOICES "exact|requantized"

/* Rows of an option table that weft_coding_words() reads. */
/* clang-format off */
#define WEFT_CODING_OPTIONS                                                                        \
    {.name = "codec", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",                                    \
     .help = "how contributions are encoded; else what goes with the algorithm, raw"},             \
    {.name = "reply-codec", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",                              \
     .help = "how the replies of algorithm scatter are encoded (fidelity requantized)"},           \
    {.name = "algo", .kind = WEFT_CLI_TEXT, .metavar = "SPEC",                                     \
     .help = "algorithm; else WEFT_ALGO, else auto"},                                              \
    {.name = "fidelity", .kind = WEFT_CLI_TEXT, .metavar = "F",                                    \
     .choices = WEFT_FIDELITY_CHOICES,                                                             \
     .help = "exact: contributions are encoded once; requantized: sums may be, too"}
/* clang-format on */

/* Those options of a call. */
void weft_coding_words(const weft_cli *cli, weft_coll_opts *opts);
/* The fidelity of that name; NULL: none was asked for. */
weft_fidelity weft_fidelity_of(const char *word);
/* The codec in words: "raw" where none was given. */
const char *weft_coding_codec(const weft_cli *cli);

#endif
