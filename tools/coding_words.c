/* SPDX-License-Identifier: Apache-2.0 */
#include "coding_words.h"

#include <string.h>

weft_fidelity weft_fidelity_of(const char *word)
{
    return word == NULL                 ? WEFT_FIDELITY_DEFAULT
           : strcmp(word, "exact") == 0 ? WEFT_FIDELITY_EXACT
                                        : WEFT_FIDELITY_REQUANTIZED;
}

void weft_coding_words(const weft_cli *cli, weft_coll_opts *opts)
{
    opts->algo = weft_cli_text(cli, "algo");
    opts->codec = weft_cli_text(cli, "codec");
    opts->reply_codec = weft_cli_text(cli, "reply-codec");
    opts->fidelity = weft_fidelity_of(weft_cli_text(cli, "fidelity"));
}

const char *weft_coding_codec(const weft_cli *cli)
{
    const char *codec = weft_cli_text(cli, "codec");
    return codec != NULL ? codec : "raw";
}
