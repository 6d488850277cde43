/* SPDX-License-Identifier: Apache-2.0 */
/* weft topo: the workbench for algorithms and topologies; each part is a file topo_*.c. */
#include <string.h>

#include "topo.h"

static const weft_command *const parts[] = {&weft_topo_list,
                                            &weft_topo_draw,
                                            &weft_topo_verify,
                                            &weft_topo_sim,
                                            &weft_topo_explain,
                                            &weft_topo_export,
                                            NULL};
enum { PART_COUNT = sizeof(parts) / sizeof(*parts) - 1 };

static const weft_cli_option options[] = {{0}};

/* Parts are run by the program itself: a word that comes here is none. */
static int run(const weft_cli *cli)
{
    const char *names[PART_COUNT + 1] = {NULL}, *word = weft_cli_args(cli)[0];
    for (int i = 0; i < PART_COUNT; i++) {
        names[i] = strchr(parts[i]->name, ' ') + 1;
    }
    return weft_cli_refuse(cli, "unknown word '%s'; nearest: %s", word,
                           weft_cli_nearest(word, names));
}

const weft_command weft_cmd_topo = {
    .name = "topo",
    .summary = "list, draw, prove, simulate and explain algorithms",
    .usage = "list | draw | verify | sim | explain | export [OPTIONS]",
    .about = "  list     algorithms and topologies, what they need and what they cost\n"
             "  draw     an algorithm's messages round by round, or a topology, as a picture\n"
             "  verify   prove the plans of every size in a range\n"
             "  sim      time, bytes and the busiest link of a network that you describe\n"
             "  explain  what would run, why, and what the alternatives would cost\n"
             "  export   an algorithm's plan as a file, to make one of your own of it\n"
             "\nweft topo WORD --help tells the options of each.\n",
    .example = "weft topo explain allreduce -n 8 --bytes 16M",
    .options = options,
    .args_min = 1,
    .args_max = -1,
    .rest = true,
    .parts = parts,
    .run = run};
