/* SPDX-License-Identifier: Apache-2.0 */
/* What this build holds: the tables of all families behind one list. */
#include <weft/info.h>

#include <stddef.h>

#include "codec/codec.h"
#include "collectives/algo.h"
#include "link/link.h"
#include "optim/optim.h"
#include "roster/finder.h"

static const weft_param none[] = {{.key = NULL}};

static int codec(int index, weft_info *ret)
{
    const weft_codec_type *t = weft_codec_type_at(index);
    if (t != NULL) {
        *ret = (weft_info){.name = t->name,
                           .scope = "",
                           .summary = t->summary,
                           .source = t->source,
                           .cost = "",
                           .params = t->params};
    }
    return t != NULL;
}

static int algo(int index, weft_info *ret)
{
    const weft_algo *a = weft_algo_at(index);
    if (a != NULL) {
        *ret = (weft_info){.name = a->name,
                           .scope = weft_coll_name(a->coll),
                           .summary = a->summary,
                           .source = a->source,
                           .cost = a->formula,
                           .params = none};
    }
    return a != NULL;
}

static int optim(int index, weft_info *ret)
{
    const weft_info *i = weft_optim_info_at(index);
    if (i != NULL) {
        *ret = *i;
    }
    return i != NULL;
}

static int finder(int index, weft_info *ret)
{
    const weft_finder_type *t = weft_finder_type_at(index);
    if (t != NULL) {
        *ret = (weft_info){.name = t->name,
                           .scope = "",
                           .summary = t->summary,
                           .source = "",
                           .cost = "",
                           .params = none};
    }
    return t != NULL;
}

static int link(int index, weft_info *ret)
{
    const weft_link_type *t = weft_link_type_at(index);
    if (t != NULL) {
        *ret = (weft_info){.name = t->scheme,
                           .scope = "",
                           .summary = t->summary,
                           .source = "",
                           .cost = "",
                           .params = none};
    }
    return t != NULL;
}

const char *weft_family_name(weft_family family)
{
    static const char *const names[WEFT_FAMILY_COUNT] = {
        [WEFT_FAMILY_CODEC] = "codecs",     [WEFT_FAMILY_ALGO] = "algorithms",
        [WEFT_FAMILY_OPTIM] = "optimizers", [WEFT_FAMILY_FINDER] = "finders",
        [WEFT_FAMILY_LINK] = "links",
    };
    return (unsigned)family < WEFT_FAMILY_COUNT ? names[family] : "unknown";
}

int weft_info_get(weft_family family, int index, weft_info *ret)
{
    static int (*const get[WEFT_FAMILY_COUNT])(int, weft_info *) = {
        [WEFT_FAMILY_CODEC] = codec,   [WEFT_FAMILY_ALGO] = algo, [WEFT_FAMILY_OPTIM] = optim,
        [WEFT_FAMILY_FINDER] = finder, [WEFT_FAMILY_LINK] = link,
    };
    return (unsigned)family < WEFT_FAMILY_COUNT && index >= 0 ? get[family](index, ret) : 0;
}

/* Compiler and instruction set are known when this is compiled and run: no text to assemble. */
const char *weft_build_info(void)
{
#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown compiler"
#endif
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? COMPILER ", x86-64, kernels: avx2"
                                          : COMPILER ", x86-64, kernels: baseline";
#else
    return COMPILER ", kernels: baseline";
#endif
}
