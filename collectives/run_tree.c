/* SPDX-License-Identifier: Apache-2.0 */
#include "collectives/run_tree.h"

int weft_lg_floor(int size)
{
    int lg = 0;

    while (size >> (lg + 1) > 0)
        lg++;
    return lg;
}

int weft_lg_ceil(int size)
{
    return size > 1 ? weft_lg_floor(size - 1) + 1 : 0;
}

/* Cut the run: the holder keeps the larger half in *run. The other half, held by its first rank. */
static weft_run halve(weft_run *run)
{
    const int kept = (run->behind - run->from + 1) / 2;
    weft_run other = *run;

    if (run->holder < run->from + kept)
        other.from = run->behind = run->from + kept;
    else
        other.behind = run->from = run->behind - kept;
    other.holder = other.from;
    return other;
}

weft_run_tree weft_run_tree_of(int size, int root, int rank)
{
    weft_run run = {.holder = root, .behind = size};
    weft_run_tree ret = {.parent = -1, .own = run};

    while (run.behind - run.from > 1) {
        const weft_run other = halve(&run);
        if (rank >= other.from && rank < other.behind) {
            ret = (weft_run_tree){.parent = run.holder, .own = other};
            run = other;
        } else if (rank == run.holder) {
            ret.branch[ret.count++] = other;
        }
    }
    return ret;
}
