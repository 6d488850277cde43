/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step sizes that theory gives, as pure functions of the problem, the codec and the peers.
 *
 * With n peers whose codecs draw independently (a codec that draws alike on all counts as one),
 * omega of the codec and beta of the momentum; every step size is multiplied by
 * 1 - beta. A value that a formula needs and that is unknown (0) is an error that names it.
 */
#ifndef WEFT_OPTIM_THEORY_H
#define WEFT_OPTIM_THEORY_H

#include <weft/optim.h>

/* What step sizes are made of. */
typedef struct weft_setting {
    weft_smoothness smoothness;
    double omega;       /* of the codec, 0: lossless */
    double reply_omega; /* of the replies' codec */
    double delta;       /* of a biased codec, 0: not known */
    double l1;          /* weight of the proximal l1 term */
    double momentum;    /* beta, in [0, 1) */
    int peers;          /* n, over which errors average out: 1 where all peers draw alike */
} weft_setting;

typedef enum weft_lr_kind {
    WEFT_LR_NUMBER,     /* "0.1" */
    WEFT_LR_THEORY,     /* "theory", "theory*4" */
    WEFT_LR_THEORY2019, /* "theory2019", "theory2019*4" */
    WEFT_LR_NONCONVEX,  /* "theory_nonconvex", "theory_nonconvex*4" */
} weft_lr_kind;

/* How the step size is chosen. */
typedef struct weft_lr_rule {
    weft_lr_kind kind;
    double value; /* the number, or the factor on theory's */
} weft_lr_rule;

/* 0, or WEFT_EINVAL that names the choices. */
int weft_lr_parse(const char *text, weft_lr_rule *ret);

/* alpha of DIANA: 1/(1 + omega), and 0 where nothing is lost and a memory would only round. */
double weft_theory_alpha(double omega);

/*
 * (Proximal) gradient descent through an unbiased codec.
 *   full gradients, lossless, no l1:  2/(L + mu);  1/L when mu is unknown
 *   full gradients, lossless, l1:     1/L
 *   full gradients, lossy:            1/(L + 2 omega Lmax/n)
 *   minibatches:                      1/(2 Lrow (1 + 6 omega/n))
 */
int weft_theory_sgd(const weft_setting *s, double *ret_lr);

/*
 * DIANA with alpha <= 1/(1 + omega).
 *   full gradients:  1/(L + 6 omega Lmax/n)
 *   minibatches:     1/(2 Lrow (1 + 6 omega/n))
 */
int weft_theory_diana(const weft_setting *s, double *ret_lr);

/*
 * DIANA with block p-quantization (one level) and full gradients, by the paper of 2019:
 * alpha_p = 1/(1 + omega) (1/B, 1/sqrt B, 2/(1 + sqrt B) for p = 1, 2, inf and blocks of B),
 * alpha = alpha_p/2, lr = min{alpha/mu, 2/((Lmax + mu)(1 + 2 omega/n))}.
 */
int weft_theory_diana2019(const weft_setting *s, double *ret_lr, double *ret_alpha);

/*
 * DIANA on smooth f_i that need not be convex, by the same paper: alpha = 1/(2 (1 + omega)) and
 * lr = 1/(Lmax (1 + 4 omega/n)), half of the largest lr that it allows, where its bound on the mean
 * of |grad f|^2 over the steps is least.
 */
int weft_theory_nonconvex(const weft_setting *s, double *ret_lr, double *ret_alpha);

/* VR-DIANA: 1/(Lrow (1 + 36 (1 + omega)/n)). */
int weft_theory_vr(const weft_setting *s, double *ret_lr);
/* Error feedback and gTop-k: 1/L; minibatches: 1/(2 Lrow). Not where omega is 1 or more. */
int weft_theory_feedback(const weft_setting *s, double *ret_lr);
/* EF21 through a codec with |C(v) - v|^2 <= (1 - delta) |v|^2 (Richtarik et al. 2021), full
 * gradients: 1/(L + Lmax sqrt(b/t)), t = 1 - sqrt(1 - delta), b = (1 - delta)/t. */
int weft_theory_ef21(const weft_setting *s, double *ret_lr);

#endif
