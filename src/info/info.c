/* SPDX-License-Identifier: Apache-2.0 */
/* What this build holds: the tables of all families behind one list. */
#include <weft/info.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "codec/codec.h"
#include "collectives/algo.h"
#include "link/link.h"
#include "link/zmq_context.h"
#include "optim/optim.h"
#include "roster/finder.h"
#include "topology/topology.h"

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
                           .params = a->params != NULL ? a->params : none};
    }
    return a != NULL;
}

static int topology(int index, weft_info *ret)
{
    const weft_topology_type *t = weft_topology_type_at(index);
    if (t != NULL) {
        *ret = (weft_info){.name = t->name,
                           .scope = "",
                           .summary = t->summary,
                           .source = t->source,
                           .cost = t->formula,
                           .params = t->params};
    }
    return t != NULL;
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

/* A row each, also where one implementation serves two; tests/unit/test_info.c holds the names to
 * the table of links. */
static int link(int index, weft_info *ret)
{
    static const char *const schemes[] = {"tcp", "ipc", "mem"};
    const bool there = index < (int)(sizeof(schemes) / sizeof(schemes[0]));
    if (there) {
        *ret = (weft_info){.name = schemes[index],
                           .scope = "",
                           .summary = weft_link_type_for(schemes[index])->summary,
                           .source = "",
                           .cost = "",
                           .params = none};
    }
    return there;
}

const char *weft_family_name(weft_family family)
{
    static const char *const names[WEFT_FAMILY_COUNT] = {
        [WEFT_FAMILY_CODEC] = "codecs",        [WEFT_FAMILY_ALGO] = "algorithms",
        [WEFT_FAMILY_TOPOLOGY] = "topologies", [WEFT_FAMILY_OPTIM] = "optimizers",
        [WEFT_FAMILY_FINDER] = "finders",      [WEFT_FAMILY_LINK] = "links",
    };
    return (unsigned)family < WEFT_FAMILY_COUNT ? names[family] : "unknown";
}

int weft_info_get(weft_family family, int index, weft_info *ret)
{
    static int (*const get[WEFT_FAMILY_COUNT])(int, weft_info *) = {
        [WEFT_FAMILY_CODEC] = codec,       [WEFT_FAMILY_ALGO] = algo,
        [WEFT_FAMILY_TOPOLOGY] = topology, [WEFT_FAMILY_OPTIM] = optim,
        [WEFT_FAMILY_FINDER] = finder,     [WEFT_FAMILY_LINK] = link,
    };
    if ((unsigned)family >= WEFT_FAMILY_COUNT || index < 0 || !get[family](index, ret)) {
        return 0;
    }
    ret->promise = ret->promise != NULL ? ret->promise : "";
    return 1;
}

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown compiler"
#endif
#ifdef NDEBUG
#define ASSERTS "off"
#else
#define ASSERTS "on"
#endif

/* libzmq is found when the program is loaded, CPU features when it runs: the text is put together
 * here, a copy for each thread. */
const char *weft_build_info(void)
{
    static _Thread_local char text[256];
    const char *cpu = "kernels: baseline";
    int zmq[3];
#if defined(__x86_64__)
    __builtin_cpu_init();
    cpu = __builtin_cpu_supports("avx2") ? "x86-64, kernels: avx2" : "x86-64, kernels: baseline";
#endif
    weft_zmq_version(zmq);
    snprintf(text, sizeof(text), "%s, %s, libzmq %d.%d.%d, asserts %s", COMPILER, cpu, zmq[0],
             zmq[1], zmq[2], ASSERTS);
    return text;
}
