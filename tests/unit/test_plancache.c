/* SPDX-License-Identifier: Apache-2.0 */
/* What a group remembers of its choices is what it would choose anew. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "group/plancache.h"
#include <weft/topology.h>

static weft_plancache *opened(void)
{
    weft_plancache *cache = NULL;
    cr_assert_eq(weft_plancache_open(&cache), 0);
    return cache;
}

/* Few values of each, so that they come again, and all of them together far above what is kept. */
static weft_choice random_choice(weft_rng *rng, const weft_topology *graph)
{
    static const weft_coll colls[] = {WEFT_COLL_ALLREDUCE, WEFT_COLL_BROADCAST, WEFT_COLL_GATHER,
                                      WEFT_COLL_ALLTOALL};
    static const uint64_t counts[] = {0, 1, 5000, 1u << 16, 1u << 24};
    weft_choice c = {.coll = colls[weft_rng_below(rng, 4)],
                     .size = weft_rng_below(rng, 8) == 0 ? 2 : 8,
                     .count = counts[weft_rng_below(rng, 5)],
                     .element_bytes = weft_rng_below(rng, 2) == 0 ? 4 : 8,
                     .traits = WEFT_CODEC_LOSSLESS | WEFT_CODEC_MERGES,
                     .root = (int)weft_rng_below(rng, 2)};
    c.encoded_bytes = (double)c.element_bytes;
    if (weft_rng_below(rng, 4) == 0) {
        c.traits = WEFT_CODEC_UNBIASED;
        c.encoded_bytes = weft_rng_below(rng, 2) == 0 ? 0.5 : 0.25;
    }
    if (weft_rng_below(rng, 4) == 0) {
        c.traits = WEFT_CODEC_WHOLE | WEFT_CODEC_COMBINES | WEFT_CODEC_SELECTS;
        c.adds_pairs = weft_rng_below(rng, 2) == 0;
        c.cuts_pairs = weft_rng_below(rng, 2) == 0;
    }
    c.fidelity = weft_rng_below(rng, 2) == 0 ? WEFT_FIDELITY_REQUANTIZED : WEFT_FIDELITY_DEFAULT;
    c.once = weft_rng_below(rng, 4) == 0;
    c.owned = weft_rng_below(rng, 4) == 0;
    c.ordered = weft_rng_below(rng, 4) == 0;
    c.ragged = c.coll == WEFT_COLL_GATHER && weft_rng_below(rng, 2) == 0;
    c.graph = c.size == 8 && weft_rng_below(rng, 4) == 0 ? graph : NULL;
    return c;
}

Test(plancache, remembers_what_would_be_chosen_anew)
{
    static const char *const specs[] = {NULL,       "auto", "flat",       "tree:arity=3",
                                        "binomial", "ring", "gtopk_tree", "oktopk"};
    weft_plancache *cache = opened();
    weft_topology *graph = NULL;
    weft_rng rng = {.state = 20261126};
    int served = 0, refused = 0;
    cr_assert_eq(weft_topology_open(&graph, "ring", 8), 0, "%s", weft_last_error()->message);
    for (int i = 0; i < 20000; i++) {
        const weft_choice c = random_choice(&rng, graph);
        const char *spec = specs[weft_rng_below(&rng, 8)];
        weft_pick anew = {0}, kept = {0};
        const int expected = weft_algo_select(spec, &c, &anew);
        const int got = weft_plancache_pick(cache, spec, &c, &kept);
        cr_assert_eq(got, expected, "%s", weft_last_error()->message);
        if (got != WEFT_OK) {
            refused++;
            continue;
        }
        served++;
        cr_assert_eq(kept.algo, anew.algo, "%s instead of %s", kept.text, anew.text);
        cr_assert_str_eq(kept.text, anew.text);
        cr_assert_eq(kept.seconds, anew.seconds);
        cr_assert_arr_eq(&kept.spec.number, &anew.spec.number, sizeof(anew.spec.number));
    }
    cr_expect(served > 5000 && refused > 1000, "%d served, %d refused", served, refused);
    weft_topology_close(&graph);
    weft_plancache_close(&cache);
}

Test(plancache, a_refusal_says_why_each_time)
{
    weft_plancache *cache = opened();
    const weft_choice c = {.coll = WEFT_COLL_ALLREDUCE,
                           .size = 4,
                           .count = 100,
                           .element_bytes = 4,
                           .encoded_bytes = 0.25,
                           .traits = WEFT_CODEC_UNBIASED};
    for (int i = 0; i < 3; i++) {
        weft_pick p;
        cr_expect_eq(weft_plancache_pick(cache, "ring", &c, &p), WEFT_ENOTSUP);
        cr_expect(strstr(weft_last_error()->message, "combines encodings") != NULL, "%s",
                  weft_last_error()->message);
        cr_expect_eq(weft_plancache_pick(cache, "rong", &c, &p), WEFT_EINVAL);
    }
    weft_plancache_close(&cache);
}
