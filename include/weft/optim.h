/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file optim.h
 * Optimizers over a group: every peer calls step with its own gradient and gets the same model.
 *
 *     weft_optim_open(&o, group, "diana:momentum=0.9", count, &opts);
 *     for (...) { gradient(x, g); weft_optim_step(o, x, g); }
 *
 * `weft info` lists the methods with their parameters, state and sources.
 */
#ifndef WEFT_OPTIM_H
#define WEFT_OPTIM_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_optim weft_optim; /**< a method with its state on this peer */

/** What theory's step sizes are made of, the same on all peers. Unknown values are 0; a method that
 *  needs one says so. */
typedef struct weft_smoothness {
    double L;      /**< smoothness of f = mean of f_i */
    double Lmax;   /**< largest smoothness of an f_i */
    double Lrow;   /**< largest smoothness of one summand of an f_i; needed for minibatches */
    double mu;     /**< strong convexity of f */
    int minibatch; /**< 1: gradients are of minibatches, not of the whole f_i */
} weft_smoothness;

/** Options, the same on all peers. Strings are copied. */
typedef struct weft_optim_opts {
    size_t size;       /**< sizeof(weft_optim_opts) */
    const char *lr;    /**< "0.1", "theory", "theory*4", "theory2019"; NULL: "theory" */
    const char *codec; /**< codec SPEC; NULL: "raw" */
    const char *algo;  /**< allreduce algorithm SPEC; NULL: WEFT_ALGO, else "auto" */
    double l1;         /**< weight of |x|_1, by proximal step; as the key prox_l1 of the SPEC */
    double l2;         /**< weight of |x|^2/2, by proximal step (weight decay inside f is yours);
                            as the key prox_l2 */
    weft_smoothness smoothness;
} weft_optim_opts;

/**
 * Make an optimizer.
 *
 * @param spec   "gd", "sgd:momentum=0.9", "diana:alpha=auto,momentum=0".
 * @param count  length of model and gradient in floats.
 * @return 0; WEFT_EINVAL spec or options; WEFT_ENOTSUP the method does not go with the codec or has
 *         no theory step size (the text says which to take); WEFT_ENOMEM.
 * The group is borrowed until weft_optim_close().
 */
WEFT_API int weft_optim_open(weft_optim **ret, weft_group *group, const char *spec, size_t count,
                             const weft_optim_opts *opts);
/** Free it. NULL-safe, sets *optim to NULL. */
WEFT_API void weft_optim_close(weft_optim **optim);

/** What the last step cost on this peer. */
typedef struct weft_step_cost {
    uint64_t encoded_bytes;   /**< own encoded message, counted once */
    uint64_t body_bytes_sent; /**< bodies handed to links, forwarding included */
    uint64_t wire_bytes_sent; /**< with 64-byte headers */
} weft_step_cost;

/**
 * One step: x is updated in place, to the same bits on every peer.
 *
 * @param x         the model, count floats, the same on all peers before the call.
 * @param gradient  this peer's gradient at x, count floats that do not overlap x.
 * @return 0, or the collective's error: x and all state are then those before the call, and the
 *         step may be tried again.
 * Threads: any, one at a time for each optimizer.
 */
WEFT_API int weft_optim_step(weft_optim *optim, float *x, const float *gradient);

WEFT_API uint64_t weft_optim_steps(const weft_optim *optim);      /**< steps done */
WEFT_API double weft_optim_lr(const weft_optim *optim);           /**< step size in force */
WEFT_API weft_step_cost weft_optim_cost(const weft_optim *optim); /**< of the last step */
/** The SPEC with every key spelled out and its value in force. Valid until closed. */
WEFT_API const char *weft_optim_spec(const weft_optim *optim);
/** Name of the allreduce algorithm the last step ran, "" before the first. */
WEFT_API const char *weft_optim_algo(const weft_optim *optim);

/**
 * Look at a vector of count floats: "h" (own memory), "hbar" (mean memory), "v" (direction of the
 * last step, with momentum its state), "q" (own decoded message of the last step; unspecified after
 * a failed one). @return NULL when the method holds none of that name: sgd has no h and hbar, nor
 * has diana with alpha = 0; where a lossless codec is used without memories, the message is the
 * gradient and there is no q. With state=f64 the vectors are roundings of the state. Valid until
 * closed.
 */
WEFT_API const float *weft_optim_state(const weft_optim *optim, const char *name);

#ifdef __cplusplus
}
#endif
#endif
