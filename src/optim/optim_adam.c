/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1-bit Adam (Tang et al. 2021). For `warmup` steps it is Adam, exact; then the second moments stay
 * as they are and the momentum is exchanged in a bit an element each way, with error feedback at
 * both ends (the owner of a span keeps what its reply loses).
 *   warm-up:  m = b1 m + (1-b1) g;  s = b2 s + (1-b2) g^2;  g = mean_i g_i
 *   after:    m = mean_i C(b1 m + (1-b1) g_i + e_i)
 *   x = x - lr (m/(1-b1^k)) / (sqrt(s/(1-b2^k)) + eps), with k no larger than warmup for s
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "kernel/kernel.h"
#include "optim/optim.h"

static const weft_param params[] = {
    {.key = "warmup",
     .value = "100",
     .min = 1,
     .max = 1e15,
     .integer = 1,
     .help = "steps of exact Adam first: 15 to 25 percent of all"},
    {.key = "beta1", .value = "0.9", .max = 1.0, .help = "of the momentum, below 1"},
    {.key = "beta2", .value = "0.999", .max = 1.0, .help = "of the second moments, below 1"},
    {.key = "eps", .value = "1e-08", .min = 1e-30, .max = 1.0, .help = "added to the divisor"},
    WEFT_OPTIM_PARAMS,
};

static int steps(weft_optim *o)
{
    if (o->setting.momentum > 0.0 || o->clip > 0.0) {
        return weft_fail(WEFT_ENOTSUP, "momentum and clip do not go with it: it has beta1");
    }
    if ((float)weft_optim_number(o, "beta1") >= 1.0f ||
        (float)weft_optim_number(o, "beta2") >= 1.0f) {
        return weft_fail(WEFT_EINVAL, "beta1 %g and beta2 %g are not both below 1",
                         weft_optim_number(o, "beta1"), weft_optim_number(o, "beta2"));
    }
    return weft_optim_lr_number(o);
}

static int reserve(weft_optim *o)
{
    float **const vectors[] = {&o->work, &o->m, &o->second, &o->residual, &o->residual_next};
    int code = weft_optim_reserve_all(o, vectors, 5);
    if (code == WEFT_OK && o->reply == NULL && !o->reply_raw && strcmp(o->codec, "raw") != 0) {
        o->reply = weft_strdup(o->codec);
        code = o->reply != NULL ? WEFT_OK : weft_fail(WEFT_ENOMEM, "no memory");
    }
    return code;
}

static bool warm(const weft_optim *o)
{
    return (double)o->steps < weft_optim_number(o, "warmup");
}

static void begin(weft_optim *o)
{
    o->exact = warm(o);
}

static const float *message(weft_optim *o, const float *gradient, const weft_part *p)
{
    const float b1 = (float)weft_optim_number(o, "beta1"), take = 1.0f - b1;
    const float *m = o->m + p->first;
    float *to = o->work + p->first;

    if (warm(o)) {
        return gradient;
    }
    for (size_t j = 0; j < p->count; j++) {
        const float old = b1 * m[j], new = take *gradient[j];
        to[j] = old + new;
    }
    return to;
}

static void moments(weft_optim *o)
{
    const float b1 = (float)weft_optim_number(o, "beta1"), t1 = 1.0f - b1;
    const float b2 = (float)weft_optim_number(o, "beta2"), t2 = 1.0f - b2;

    for (size_t j = 0; j < o->count; j++) {
        const float g = o->mean[j], old1 = b1 * o->m[j], new1 = t1 * g, square = g * g;
        const float old2 = b2 * o->second[j], new2 = t2 * square;
        o->m[j] = old1 + new1;
        o->second[j] = old2 + new2;
    }
}

static void commit(weft_optim *o, float *x)
{
    const uint64_t k = o->steps + 1, most = (uint64_t)weft_optim_number(o, "warmup");
    const double first = 1.0 - weft_schedule_power(weft_optim_number(o, "beta1"), k);
    const double second =
        1.0 - weft_schedule_power(weft_optim_number(o, "beta2"), k < most ? k : most);
    const double eps = weft_optim_number(o, "eps");

    if (warm(o)) {
        moments(o);
    } else {
        memcpy(o->m, o->mean, o->count * sizeof(float));
    }
    for (size_t j = 0; j < o->count; j++) {
        /* Where nothing was ever seen in the warm-up, what signs bring is noise over nothing. */
        if (o->second[j] == 0.0f) {
            o->mean[j] = 0.0f;
            continue;
        }
        o->mean[j] = (float)((double)o->m[j] / first / (sqrt((double)o->second[j] / second) + eps));
    }
    weft_optim_descend(o, x, o->mean, weft_optim_lr_now(o));
}

static const weft_optim_name names[] = {
    {.info = {.name = "onebit_adam",
              .scope = "",
              .summary =
                  "Adam whose second moments stay after a warm-up: the momentum then goes in "
                  "a bit an element each way",
              .source = "Tang et al. 2021; Kingma & Ba 2015",
              .cost = "state m, second moments, residual, v; one allreduce of count floats a step",
              .promise =
                  "smooth f, after the warm-up: as momentum SGD with a step size for each element",
              .params = params},
     .codec = "sign",
     .algo = "scatter",
     .any_codec = true,
     .m = WEFT_M_SHARED},
    {.info = {.name = NULL}},
};

const weft_optim_type weft_optim_adam = {
    .names = names,
    .steps = steps,
    .reserve = reserve,
    .begin = begin,
    .message = message,
    .commit = commit,
};
