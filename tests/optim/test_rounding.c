/* SPDX-License-Identifier: Apache-2.0 */
/* What callers have set for their own arithmetic, rounding or flush-to-zero, changes no bit of what
 * peers share, and is theirs again afterwards. */
#include <criterion/criterion.h>
#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "optim_peers.h"

#include <weft/codec.h>
#include <weft/collective.h>

enum { SIZE = 3, COUNT = 700, STEPS = 4, FLUSH = 0x8040 };

typedef struct scene {
    const char *spec, *codec;
    bool odd; /* peers have modes of their own */
    bool kept[SIZE];
    int code[SIZE];
    float x[SIZE][COUNT], sum[SIZE][COUNT], own[SIZE][COUNT];
} scene;

/* Numbers made once, under the default mode; some of them are subnormal. */
static float gradients[SIZE][STEPS][COUNT];

static void make_gradients(void)
{
    for (int r = 0; r < SIZE; r++) {
        for (int k = 0; k < STEPS; k++) {
            for (int i = 0; i < COUNT; i++) {
                const int n = (i * 7 + k * 5 + r * 11) % 29 - 14;
                gradients[r][k][i] = (float)n / (i % 50 == 3 ? 3e38f : 13.0f);
            }
        }
    }
}

static void set_mode(int rank)
{
    if (rank == 1) {
        fesetround(FE_UPWARD);
    } else if (rank == 2) {
        fesetround(FE_TOWARDZERO);
#if defined(__SSE__)
        _mm_setcsr(_mm_getcsr() | FLUSH);
#endif
    }
}

static bool has_mode(int rank)
{
    const int want[SIZE] = {FE_TONEAREST, FE_UPWARD, FE_TOWARDZERO};
    bool kept = fegetround() == want[rank];
#if defined(__SSE__)
    kept = kept && (_mm_getcsr() & FLUSH) == (rank == 2 ? (unsigned)FLUSH : 0u);
#endif
    return kept;
}

static void train(weft_group *group, int rank, void *user)
{
    scene *s = user;
    weft_optim *optim = NULL;
    const weft_optim_opts o = {
        .size = sizeof(o), .lr = "0.1", .codec = s->codec, .l1 = 0.001, .l2 = 0.01};
    if (s->odd) {
        set_mode(rank);
    }
    s->code[rank] = weft_optim_open(&optim, group, s->spec, COUNT, &o);
    for (int k = 0; k < STEPS && s->code[rank] == WEFT_OK; k++) {
        s->code[rank] = weft_optim_step(optim, s->x[rank], gradients[rank][k]);
    }
    weft_optim_close(&optim);
    const weft_coll_opts c = {.size = sizeof(c), .codec = s->codec, .own = s->own[rank]};
    if (s->code[rank] == WEFT_OK) {
        s->code[rank] =
            weft_allreduce(group, gradients[rank][0], s->sum[rank], COUNT, WEFT_F32, WEFT_MEAN, &c);
    }
    s->kept[rank] = has_mode(s->odd ? rank : 0);
}

Test(rounding, of_a_caller_changes_no_bit_of_a_model_and_stays_the_callers)
{
    static const char *const specs[] = {"sgd", "diana"};
    static const char *const codecs[] = {"raw", "qsgd:levels=7", "qsgd:levels=1,bucket=64,norm=2"};
    static scene plain, odd;
    make_gradients();
    for (int i = 0; i < 6; i++) {
        plain = (scene){.spec = specs[i % 2], .codec = codecs[i / 2]};
        odd = plain;
        odd.odd = true;
        peers_run(SIZE, train, &plain);
        peers_run(SIZE, train, &odd);
        for (int r = 0; r < SIZE; r++) {
            cr_assert_eq(odd.code[r], WEFT_OK, "%s %s", odd.spec, odd.codec);
            cr_assert(odd.kept[r], "rank %d has lost its mode", r);
            cr_assert_arr_eq(odd.x[r], odd.x[0], sizeof(odd.x[0]), "%s %s: rank %d has a model",
                             odd.spec, odd.codec, r);
            cr_assert_arr_eq(odd.x[r], plain.x[r], sizeof(odd.x[0]), "%s %s: rank %d", odd.spec,
                             odd.codec, r);
            cr_assert_arr_eq(odd.sum[r], plain.sum[r], sizeof(odd.sum[0]), "%s: sum on rank %d",
                             odd.codec, r);
            cr_assert_arr_eq(odd.own[r], plain.own[r], sizeof(odd.own[0]), "%s: own of rank %d",
                             odd.codec, r);
        }
    }
}

Test(rounding, of_a_caller_changes_no_bit_of_an_encoding)
{
    static const char *const codecs[] = {"raw", "qsgd:levels=7", "qsgd:levels=127,norm=2"};
    static uint8_t bytes[2][SIZE * COUNT * 8];
    static float values[2][COUNT];
    make_gradients();
    for (int i = 0; i < 3; i++) {
        weft_codec *codec = NULL;
        const weft_draw draw = {.seed = 5, .draw = 9};
        size_t len[2] = {0};
        cr_assert_eq(weft_codec_open(&codec, codecs[i]), WEFT_OK);
        for (int rank = 1; rank < SIZE; rank++) {
            fenv_t before;
            fegetenv(&before);
            for (int odd = 0; odd < 2; odd++) {
                if (odd == 1) {
                    set_mode(rank);
                }
                const int encoded = weft_codec_encode(codec, &draw, gradients[0][0], COUNT,
                                                      bytes[odd], sizeof(bytes[0]), &len[odd]);
                const int decoded =
                    weft_codec_decode(codec, bytes[odd], len[odd], values[odd], COUNT);
                const bool kept = has_mode(odd == 1 ? rank : 0);
                fesetenv(&before);
                cr_assert(encoded == WEFT_OK && decoded == WEFT_OK && kept, "%s", codecs[i]);
            }
            cr_assert_eq(len[0], len[1]);
            cr_assert_arr_eq(bytes[0], bytes[1], len[0], "%s, mode of rank %d", codecs[i], rank);
            cr_assert_arr_eq(values[0], values[1], sizeof(values[0]), "%s, mode of rank %d",
                             codecs[i], rank);
        }
        weft_codec_close(&codec);
    }
}
