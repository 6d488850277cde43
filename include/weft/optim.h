/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file optim.h
 * Optimizers over a group: every peer calls step with its own gradient and gets the same model.
 *
 *     weft_optim_open(&o, group, "diana:momentum=0.9", count, &opts);
 *     for (...) { gradient(x, g); weft_optim_step(o, x, g); }
 *
 * `weft info` lists the methods with their parameters, state, cost and sources.
 *
 * A step takes effect on all peers or on none: model and state change only after every operation
 * has succeeded here and a barrier has told that it did so everywhere. A failed step leaves both as
 * they were and may be taken again, with the same random numbers. Where that barrier let some peers
 * go and failed on others, these are a step behind until they take it again: it is then committed
 * as the others did, from what came of the failed one.
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

/** A piece of the model, by the name it has in checkpoints. */
typedef struct weft_tensor {
    const char *name; /**< 1 to 63 characters, none of them a space or a comma */
    size_t count;     /**< floats, at least 1 */
} weft_tensor;

/** Options, the same on all peers. Strings and tensors are copied. */
typedef struct weft_optim_opts {
    size_t size;             /**< sizeof(weft_optim_opts) */
    const char *lr;          /**< "0.1", "theory", "theory*4", "theory2019",
                                  "theory_nonconvex"; NULL: "theory" */
    const char *schedule;    /**< what lr is multiplied by in each step: "constant",
                                  "step:every=100,factor=0.1", "cosine:steps=1000", "inverse",
                                  "sqrt"; all take warmup=STEPS; NULL: "constant" */
    const char *codec;       /**< codec SPEC; NULL: what the method is known with, else "raw" */
    const char *algo;        /**< allreduce algorithm SPEC; NULL: the method's, else WEFT_ALGO, else
                                  "auto" */
    const char *reply_codec; /**< codec SPEC of replies (fidelity requantized); NULL: none. diana
                                  keeps a memory for them */
    double l1;               /**< weight of |x|_1, by proximal step; as the key prox_l1 */
    double l2;               /**< weight of |x|^2/2, by proximal step (weight decay inside f is
                                  yours); as the key prox_l2 */
    weft_smoothness smoothness;
    const weft_tensor *tensors; /**< the model's pieces in their order; their counts add up to
                                     count. Each is encoded by itself. NULL: one, "x" */
    size_t tensor_count;        /**< up to 65536 */
    size_t small;               /**< with tensors: those of fewer floats go as they are (not under
                                     methods of signs); 0: 10000; 1: none */
    const char *raw;            /**< with tensors: names of others that go as they are, with commas
                                     between them; NULL: none */
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
    uint64_t encoded_bytes;   /**< own encoded messages, counted once */
    uint64_t body_bytes_sent; /**< bodies handed to links, forwarding included */
    uint64_t wire_bytes_sent; /**< with 64-byte headers */
    uint64_t operations_ns;   /**< from the begin of the first operation to the end of the last */
    uint64_t wait_ns;         /**< of that, after all gradients were known; the rest is overlap */
} weft_step_cost;

/**
 * One step: x is updated in place, to the same bits on every peer.
 *
 * @param x         the model, count floats, the same on all peers before the call.
 * @param gradient  this peer's gradient at x, count floats that do not overlap x.
 * @return 0, or the collective's error: x and all state are then those before the call, and the
 *         step may be tried again. WEFT_EMISMATCH: peers were not at the same step or did not do
 *         the same; where one tries a failed step again and others do not know yet that it failed,
 *         it comes once on these, and they are to try again too. WEFT_ENOTSUP: the method asks for
 * gradients itself, see weft_optim_advance(). Threads: any, one at a time for each optimizer.
 */
WEFT_API int weft_optim_step(weft_optim *optim, float *x, const float *gradient);

/** @name A step in pieces
 * Operations begin while other gradients are still being computed: begin, then ready for every
 * tensor, in any order (best the last first, as they become known), then finish. All peers begin
 * operations in the same order, from the last tensor to the first; a tensor that is ready early
 * waits for those behind it. The gradient's floats are read until finish.
 * @{ */
WEFT_API int weft_optim_begin(weft_optim *optim, const float *x);
/**
 * @param tensor    its place in opts->tensors. @param gradient  that tensor's.
 * An operation that cannot begin is tried again by the next call; if it still cannot in the end,
 * the step fails: that code need not be looked at. WEFT_EINVAL is a mistake that changes nothing.
 */
WEFT_API int weft_optim_ready(weft_optim *optim, size_t tensor, const float *gradient);
/** As weft_optim_step(). Every tensor must have been ready. */
WEFT_API int weft_optim_finish(weft_optim *optim, float *x);
/** @} */

/** Of which rows a gradient is asked. */
typedef enum weft_rows {
    WEFT_ROWS_BATCH, /**< a minibatch; with full gradients, all rows of this peer */
    WEFT_ROWS_ALL    /**< all rows of this peer */
} weft_rows;

/**
 * Gradient of this peer's f_i at x. It may call weft_optim_ready() for tensors as they become
 * known, with their places in ret_gradient, where they must stay as they are: their operations then
 * run beside the rest. What is not told is ready when it returns, and so is the last operation;
 * methods that need several gradients do not listen.
 * @param draw  number of the minibatch, from 0: the same number is to give the same rows.
 * @return 0, or any other value: the step fails, on all peers.
 */
typedef int weft_gradient_fn(void *user, weft_rows rows, uint64_t draw, const float *x,
                             float *ret_gradient);

/**
 * One step of any method: it asks for the gradients that it needs. Those of vr_diana, qsvrg and
 * local need several of them; for the others it is weft_optim_step() at fn(WEFT_ROWS_BATCH, steps).
 * @return as weft_optim_step(); WEFT_ECANCELED fn failed.
 */
WEFT_API int weft_optim_advance(weft_optim *optim, float *x, weft_gradient_fn *fn, void *user);

WEFT_API uint64_t weft_optim_steps(const weft_optim *optim); /**< steps done */
/** Step size that the schedule multiplies, by numbers up to 1. */
WEFT_API double weft_optim_base_lr(const weft_optim *optim);
/** Step size of the next step, by the schedule. */
WEFT_API double weft_optim_lr(const weft_optim *optim);
/** The largest step size for which theory promises convergence; 0: not known. */
WEFT_API double weft_optim_bound(const weft_optim *optim);
WEFT_API weft_step_cost weft_optim_cost(const weft_optim *optim); /**< of the last step */
/** The SPEC with every key spelled out and its value in force. Valid until closed. */
WEFT_API const char *weft_optim_spec(const weft_optim *optim);
/** The codec in force, every key spelled out. Valid until closed. */
WEFT_API const char *weft_optim_codec(const weft_optim *optim);
/** Name of the allreduce algorithm the last step ran, "" before the first. */
WEFT_API const char *weft_optim_algo(const weft_optim *optim);

/**
 * Look at a vector of count floats: "h" (own memory), "hbar" (mean memory), "v" (direction of the
 * last step, with momentum its state), "q" (own decoded message of the last step; unspecified after
 * a failed one), "residual" (what encodings have lost so far), "m" (momentum of signum, of
 * correction=yes, of onebit_adam; what ef21 follows).
 * @return NULL when the method holds none of that name: sgd has no h and hbar, nor has diana with
 * alpha = 0; q is held by gd, sgd and its names with lossy codecs, diana, ef21 and correction=yes
 * (by gd, sgd and diana with codec raw the message is the gradient). With state=f64 the vectors are
 * roundings of the state. With a reply codec hbar is right only where this peer owns the span.
 * Valid until closed.
 */
WEFT_API const float *weft_optim_state(const weft_optim *optim, const char *name);

/**
 * Write model and state to this peer's own file: atomically (a new file that is synced takes the
 * old one's place, which is kept as path.before), with a checksum. All peers call it, each with a
 * path of its own. Every file also holds what other peers would go on with: means over the peers of
 * what each has for itself.
 * @return 0; WEFT_EIO the file cannot be written (on the peers where that is so); the collective's
 *         error.
 */
WEFT_API int weft_optim_save(weft_optim *optim, const float *x, const char *path);

/**
 * Go on from files: all peers call it, each with a path. With as many peers as saved them, and each
 * with the file of its rank, and the same seed and options, the next steps give the bits that those
 * of the saved run would have given. Else (another number of peers, copies of one file) memories
 * and residuals begin at their means: h_i = hbar, residual = mean residual.
 * Where a save was cut off and path.before is gone on from, it becomes path again.
 * @return 0; WEFT_EIO a file cannot be read; WEFT_EINVAL it is damaged, not a checkpoint, of
 *         another version, method or tensors, or files are of no one save (the text says which): on
 * all peers, and nothing has changed; the collective's error.
 */
WEFT_API int weft_optim_load(weft_optim *optim, float *x, const char *path);

#ifdef __cplusplus
}
#endif
#endif
