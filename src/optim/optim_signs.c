/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signSGD and Signum (Bernstein et al. 2018) by majority vote:
 *   m_i = beta m_i + (1 - beta) g_i;  V = majority_i sign(m_i);  x = x - lr (V + decay x)
 * One bit an element each way. The step's length does not shrink with the gradient: lr has to
 * (schedule sqrt). On shards that differ it stops short of the optimum: ef with codec sign does
 * not.
 *
 * Where m_i is 0 it has no sign, and +1 of all peers would let an element walk: zeros=random votes
 * by a coin of the peer's own there.
 */
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include "optim/optim.h"
#include <weft/group.h>

#define ZEROS                                                                                      \
    {                                                                                              \
        .key = "zeros", .value = "plus", .choices = "plus|random",                                 \
        .help = "how a peer votes where it has exactly 0"                                          \
    }

static const weft_param params[] = {
    ZEROS,
    WEFT_OPTIM_PARAMS,
};

static const weft_param signum_params[] = {
    {.key = "beta", .value = "0.9", .max = 1.0, .help = "of m = beta m + (1 - beta) g, below 1"},
    ZEROS,
    WEFT_OPTIM_PARAMS,
};

static bool remembers(const weft_optim *o)
{
    return o->name->info.params == signum_params;
}

static int steps(weft_optim *o)
{
    if (o->setting.momentum > 0.0 || o->clip > 0.0) {
        return weft_fail(WEFT_ENOTSUP, "momentum and clip do not go with votes: signum has beta");
    }
    if (o->reply != NULL) {
        return weft_fail(WEFT_ENOTSUP, "goes without a reply codec: the vote is of bits already");
    }
    if (strcmp(o->algo, "vote") != 0 && strncmp(o->algo, "vote:", strlen("vote:")) != 0) {
        return weft_fail(WEFT_ENOTSUP, "votes by algorithm vote; %s would add the signs up",
                         o->algo);
    }
    if (remembers(o) && (float)weft_optim_number(o, "beta") >= 1.0f) {
        return weft_fail(WEFT_EINVAL, "beta %g is not below 1", weft_optim_number(o, "beta"));
    }
    if (strncmp(o->codec, "sign:scaled=no", strlen("sign:scaled=no")) != 0) {
        return weft_fail(WEFT_ENOTSUP, "votes by codec sign:scaled=no, not by %s", o->codec);
    }
    return weft_optim_lr_number(o);
}

static int reserve(weft_optim *o)
{
    int code = weft_optim_reserve(o, &o->work);

    if (code == WEFT_OK && remembers(o)) {
        code = weft_optim_reserve(o, &o->m);
    }
    if (code == WEFT_OK && remembers(o)) {
        code = weft_optim_reserve(o, &o->m_next);
    }
    return code;
}

/* Zeros become numbers too small to be seen later, with a sign by chance. */
static void toss(const weft_optim *o, const weft_part *p, float *v)
{
    const weft_draw draw = {.seed = weft_group_seed(o->group),
                            .member = (uint32_t)weft_group_rank(o->group),
                            .draw = o->steps + 1};
    uint16_t bits[512];

    for (size_t i = 0; i < p->count; i += sizeof(bits) / sizeof(bits[0])) {
        const size_t left = p->count - i;
        const size_t n =
            left < sizeof(bits) / sizeof(bits[0]) ? left : sizeof(bits) / sizeof(bits[0]);
        weft_draw_u16(&draw, p->first + i, n, bits);
        for (size_t j = 0; j < n; j++) {
            if (v[i + j] == 0.0f) {
                v[i + j] = bits[j] % 2 != 0 ? -1e-38f : 1e-38f;
            }
        }
    }
}

static const float *message(weft_optim *o, const float *gradient, const weft_part *p)
{
    float *to = o->work + p->first;

    if (o->m != NULL) {
        const float beta = (float)weft_optim_number(o, "beta"), take = 1.0f - beta;
        const float *m = o->m + p->first;
        for (size_t j = 0; j < p->count; j++) {
            const float old = beta * m[j], new = take *gradient[j];
            to[j] = old + new;
        }
        /* Without the coins for zeros: they would be remembered, and thrown once for many steps. */
        memcpy(o->m_next + p->first, to, p->count * sizeof(float));
    } else {
        memcpy(to, gradient, p->count * sizeof(float));
    }
    if (weft_optim_choice(o, "zeros") == 1) {
        toss(o, p, to);
    }
    return to;
}

static void commit(weft_optim *o, float *x)
{
    weft_optim_descend(o, x, o->mean, weft_optim_lr_now(o));
}

static const weft_optim_name names[] = {
    {.info = {.name = "signsgd",
              .scope = "",
              .summary = "the majority of the signs, a bit an element each way",
              .source = "Bernstein et al. 2018",
              .cost = "state v; 2(P-1)/P count/8 bytes a step",
              .promise =
                  "smooth f, noise that is symmetric about its peak, lr falling: the mean of |grad "
                  "f|_1 falls as N^(-1/4), N gradients in all; none on shards that differ",
              .params = params},
     .codec = "sign:scaled=no",
     .algo = "vote",
     .any_codec = true,
     .signs = true},
    {.info = {.name = "signum",
              .scope = "",
              .summary = "signsgd of each peer's momentum",
              .source = "Bernstein et al. 2018",
              .cost = "state m, v; 2(P-1)/P count/8 bytes a step",
              .promise = "as signsgd",
              .params = signum_params},
     .codec = "sign:scaled=no",
     .algo = "vote",
     .m = WEFT_M_OWN,
     .any_codec = true,
     .signs = true},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_signs = {
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .message = message,
    .commit = commit,
};
