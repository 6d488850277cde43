/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file codec.h
 * Codecs by themselves: encode and decode a buffer without a group.
 *
 * A codec SPEC is "name:key=value,key=value": "raw", "qsgd:levels=7,bucket=512,norm=max".
 * `weft info` lists the names, keys, ranges and sources.
 */
#ifndef WEFT_CODEC_H
#define WEFT_CODEC_H

#include <weft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Share of the elements that codec "topk" sends whose SPEC gives neither k nor density. */
#define WEFT_TOPK_DENSITY 0.01

typedef struct weft_codec weft_codec; /**< a codec with its parameters; immutable */

/** Which random numbers an encoding draws: the same fields give the same bits, everywhere. */
typedef struct weft_draw {
    uint64_t seed;   /**< key */
    uint32_t member; /**< the peer's number for life */
    uint32_t tensor; /**< 0 … 65535 */
    uint64_t draw;   /**< step or operation number, below 2^48 */
    uint64_t first;  /**< index in the whole tensor of the buffer's first element */
} weft_draw;

/** Make a codec from its SPEC. @return 0, WEFT_EINVAL (the text names the valid keys), WEFT_ENOMEM.
 */
WEFT_API int weft_codec_open(weft_codec **ret, const char *spec);
/** Free it. NULL-safe, sets *codec to NULL. */
WEFT_API void weft_codec_close(weft_codec **codec);
/** The SPEC with every key spelled out, in a fixed order. Valid until the codec is closed. */
WEFT_API const char *weft_codec_spec(const weft_codec *codec);
/** Most bytes an encoding of count floats takes. */
WEFT_API size_t weft_codec_bound(const weft_codec *codec, size_t count);
/** 1 when the expectation of the decoded value is the input. */
WEFT_API int weft_codec_is_unbiased(const weft_codec *codec);
/** 1 when all peers make the same random choices ("randk"): their errors do not average out. */
WEFT_API int weft_codec_draws_alike(const weft_codec *codec);
/** omega with E|Q(v)-v|^2 <= omega |v|^2 for vectors of count floats; 0 for "raw".
 *  @return 0, or WEFT_ENOTSUP when the codec is biased. */
WEFT_API int weft_codec_omega(const weft_codec *codec, size_t count, double *ret);

/**
 * Encode count floats.
 *
 * @param out      cap bytes, cap >= weft_codec_bound().
 * @param ret_len  bytes written.
 * @return 0; WEFT_ENONFINITE NaN or infinity in a lossy codec's input; WEFT_EINVAL cap too small.
 */
WEFT_API int weft_codec_encode(const weft_codec *codec, const weft_draw *draw, const float *in,
                               size_t count, void *out, size_t cap, size_t *ret_len);

/** Floats of state by which a codec goes on where its last call for the same tensor stopped (the
 * warm start of "powersgd"), for vectors of count floats; 0 when it has none. */
WEFT_API size_t weft_codec_state_count(const weft_codec *codec, size_t count);

/**
 * weft_codec_encode() with a warm start. The state is the caller's: of one tensor, of one peer,
 * to be saved with a checkpoint; all zeros before the first call. Decoding needs none.
 *
 * @param warm      weft_codec_state_count() floats, the state so far; NULL: none. Of codecs without
 *                  state it is not looked at.
 * @param ret_warm  the state to pass to the next call, written on success only; may be warm; NULL:
 *                  not wanted. Keep it only once what was encoded has reached the others.
 * @return as weft_codec_encode(); WEFT_EINVAL warm holds NaN or infinity.
 */
WEFT_API int weft_codec_encode_warm(const weft_codec *codec, const weft_draw *draw, const float *in,
                                    size_t count, const float *warm, float *ret_warm, void *out,
                                    size_t cap, size_t *ret_len);

/** Decode exactly count floats. @return 0, or WEFT_ECODEC with codec, offset and reason; out is
 *  untouched then. */
WEFT_API int weft_codec_decode(const weft_codec *codec, const void *in, size_t len, float *out,
                               size_t count);

#ifdef __cplusplus
}
#endif
#endif
