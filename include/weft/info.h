/* SPDX-License-Identifier: Apache-2.0 */
/** @file info.h What this build holds: every codec, algorithm, topology, optimizer,
 *  finder and link. */
#ifndef WEFT_INFO_H
#define WEFT_INFO_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The families. */
typedef enum weft_family {
    WEFT_FAMILY_CODEC,
    WEFT_FAMILY_ALGO,
    WEFT_FAMILY_TOPOLOGY,
    WEFT_FAMILY_OPTIM,
    WEFT_FAMILY_FINDER,
    WEFT_FAMILY_LINK,
    WEFT_FAMILY_COUNT
} weft_family;

/** A parameter of a SPEC string: a word out of choices, a text, or a number. */
typedef struct weft_param {
    const char *key;     /**< NULL ends a list */
    const char *value;   /**< the default, as written in a SPEC; a text shorter than min: the key
                              must be given */
    const char *choices; /**< "max|1|2" for words, NULL for numbers and texts */
    double min, max;     /**< range, both ends in: of a number, or of the bytes of a text */
    int integer;         /**< 1: whole numbers only */
    int text;            /**< 1: any text without commas and control characters, a path say */
    const char *help;    /**< one line */
} weft_param;

/** One member of a family. The strings are static. */
typedef struct weft_info {
    const char *name;    /**< "qsgd"; for algorithms "ring" */
    const char *scope;   /**< for algorithms the collective, "allreduce"; else "" */
    const char *summary; /**< one line */
    const char *source;  /**< paper or origin, "" if own */
    const char *cost; /**< cost formula of algorithms, degree and diameter of topologies, state and
                           wire of optimizers, or "" */
    const char *promise;      /**< of optimizers: what convergence theory promises; else "" */
    const weft_param *params; /**< ends with key NULL; never NULL */
} weft_info;

/** "codecs", "algorithms", … Static storage. */
WEFT_API const char *weft_family_name(weft_family family);
/** The index-th member of a family into *ret. @return 1; 0 behind the last, *ret is untouched. */
WEFT_API int weft_info_get(weft_family family, int index, weft_info *ret);
/** One line about the build: compiler, CPU features in use, version of the libzmq that is loaded,
 *  whether asserts are on. Valid in the calling thread until it ends. */
WEFT_API const char *weft_build_info(void);

#ifdef __cplusplus
}
#endif
#endif
