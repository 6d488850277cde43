/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/fpenv.h"
#include "base/mem.h"
#include "base/status.h"

#define X(name) extern const weft_codec_type weft_codec_##name;
#include "codec/codecs.def"
#undef X

static const weft_codec_type *const types[] = {
#define X(name) &weft_codec_##name,
#include "codec/codecs.def"
#undef X
};

enum { TYPES = sizeof(types) / sizeof(types[0]), TENSOR_MOST = 65535 };

#define COUNT_MOST (UINT64_C(1) << 40)
#define DRAW_END (UINT64_C(1) << 48)

const weft_codec_type *weft_codec_type_at(int index)
{
    return index >= 0 && index < TYPES ? types[index] : NULL;
}

/* The row a SPEC names; NULL, with WEFT_EINVAL, when there is none. */
static const weft_codec_type *find_type(const char *spec)
{
    char name[WEFT_SPEC_NAME], all[WEFT_SPEC_TEXT] = "";
    const char *names[TYPES];
    if (weft_spec_name(spec, name) != WEFT_OK) {
        weft_fail_context("codec");
        return NULL;
    }
    size_t len = 0;
    for (int i = 0; i < TYPES; i++) {
        names[i] = types[i]->name;
        if (!strcmp(name, names[i]))
            return types[i];
        int n = snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", names[i]);
        len += len + (size_t)n < sizeof(all) ? (size_t)n : 0;
    }
    const char *near = weft_nearest(name, names, TYPES);
    weft_fail(WEFT_EINVAL, "codec \"%s\" is unknown%s%s%s; codecs: %s", name,
              near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", all);
    return NULL;
}

int weft_codec_make(weft_codec **ret, const char *spec, weft_dtype dtype, weft_op op,
                    const weft_user_op *user_op)
{
    const weft_codec_type *type = find_type(spec);
    if (!type)
        return WEFT_EINVAL;
    if (!weft_dtype_bytes(dtype) || (unsigned)op >= WEFT_OP_COUNT)
        return weft_fail(WEFT_EINVAL, "codec %s: dtype %d, op %d: no such type or operation",
                         type->name, (int)dtype, (int)op);
    if ((op == WEFT_USER) != (user_op != NULL))
        return weft_fail(WEFT_EINVAL, "codec %s: %s %s a user_op", type->name, weft_op_name(op),
                         user_op ? "goes without" : "needs");
    bool lossless = type->traits & WEFT_CODEC_LOSSLESS;
    if (!lossless && (dtype != WEFT_F32 || (op != WEFT_SUM && op != WEFT_MEAN)))
        return weft_fail(WEFT_ENOTSUP, "codec %s: %s of %s: takes only sum and mean of float32",
                         type->name, weft_op_name(op), weft_dtype_name(dtype));
    weft_codec *c = weft_calloc(1, sizeof(*c));
    if (!c)
        return weft_fail(WEFT_ENOMEM, "codec %s: out of memory", type->name);
    c->type = type;
    c->dtype = dtype;
    c->op = lossless ? op : WEFT_SUM;
    if (user_op)
        c->user_op = *user_op;
    int code = weft_spec_parse("codec", spec, type->params, &c->spec);
    if (code == WEFT_OK && type->check)
        code = type->check(c);
    if (code == WEFT_OK && type->open)
        code = type->open(c);
    if (code != WEFT_OK) {
        weft_free(c);
        return code;
    }
    weft_spec_format(&c->spec, type->params, c->text, sizeof(c->text));
    *ret = c;
    return WEFT_OK;
}

static int param_index(const weft_codec *c, const char *key)
{
    int i = 0;
    while (strcmp(c->type->params[i].key, key) != 0) {
        i++;
        assert(c->type->params[i].key);
    }
    return i;
}

double weft_codec_number(const weft_codec *c, const char *key)
{
    return c->spec.number[param_index(c, key)];
}

int weft_codec_choice(const weft_codec *c, const char *key)
{
    return c->spec.choice[param_index(c, key)];
}

int weft_codec_open(weft_codec **ret, const char *spec)
{
    if (!ret)
        return weft_fail(WEFT_EINVAL, "codec: NULL to return it in");
    return weft_codec_make(ret, spec, WEFT_F32, WEFT_SUM, NULL);
}

void weft_codec_close(weft_codec **codec)
{
    if (!codec)
        return;
    if (*codec && (*codec)->type->close)
        (*codec)->type->close(*codec);
    if (*codec)
        weft_free((*codec)->extra);
    weft_free(*codec);
    *codec = NULL;
}

const char *weft_codec_spec(const weft_codec *codec)
{
    return codec->text;
}

/* A buffer is a lane in one span. */
static weft_stretch whole(size_t count)
{
    return (weft_stretch){.lane_count = count, .off = 0, .count = count};
}

size_t weft_codec_bound(const weft_codec *codec, size_t count)
{
    weft_stretch s = whole(count);
    return count > COUNT_MOST ? SIZE_MAX : codec->type->bound(codec, &s);
}

int weft_codec_is_unbiased(const weft_codec *codec)
{
    const weft_codec_type *type = codec->type;
    return (type->traits & WEFT_CODEC_UNBIASED) && !(type->biased && type->biased(codec));
}

int weft_codec_draws_alike(const weft_codec *codec)
{
    return (codec->type->traits & WEFT_CODEC_COMMON) != 0;
}

int weft_codec_omega(const weft_codec *codec, size_t count, double *ret)
{
    if (!codec->type->omega || !weft_codec_is_unbiased(codec))
        return weft_fail(WEFT_ENOTSUP, "codec %s: is biased, it has no omega", codec->text);
    *ret = codec->type->omega(codec, count);
    return WEFT_OK;
}

size_t weft_codec_state_count(const weft_codec *codec, size_t count)
{
    weft_stretch s = whole(count);
    return codec->type->state && count <= COUNT_MOST ? codec->type->state(codec, &s) : 0;
}

static int check_encode(const weft_codec *codec, const weft_draw *draw, const float *in,
                        size_t count, const void *out, size_t cap, const size_t *ret_len)
{
    const char *name = codec->type->name;
    size_t bound = weft_codec_bound(codec, count);
    bool draws = weft_codec_lossy(codec);
    if (draws && (!draw || draw->draw >= DRAW_END || draw->tensor > TENSOR_MOST))
        return weft_fail(WEFT_EINVAL,
                         "codec %s: draw is NULL, its number 2^48 or more, or its "
                         "tensor above %d",
                         name, TENSOR_MOST);
    if (count > COUNT_MOST || (count > 0 && !in))
        return weft_fail(WEFT_EINVAL, "codec %s: %zu elements: NULL, or more than 2^40", name,
                         count);
    if (cap < bound || (bound > 0 && !out) || !ret_len)
        return weft_fail(WEFT_EINVAL, "codec %s: room for %zu bytes at %s, %zu needed", name, cap,
                         out ? "out" : "NULL", bound);
    return WEFT_OK;
}

int weft_codec_encode(const weft_codec *codec, const weft_draw *draw, const float *in, size_t count,
                      void *out, size_t cap, size_t *ret_len)
{
    int code = check_encode(codec, draw, in, count, out, cap, ret_len);
    if (code != WEFT_OK)
        return code;
    weft_stretch s = whole(count);
    const fenv_t callers = weft_fp_enter();
    code = codec->type->encode(codec, draw, in, &s, out, cap, ret_len);
    weft_fp_leave(&callers);
    return code;
}

int weft_codec_encode_warm(const weft_codec *codec, const weft_draw *draw, const float *in,
                           size_t count, const float *warm, float *ret_warm, void *out, size_t cap,
                           size_t *ret_len)
{
    if (!codec->type->encode_warm)
        return weft_codec_encode(codec, draw, in, count, out, cap, ret_len);
    int code = check_encode(codec, draw, in, count, out, cap, ret_len);
    if (code != WEFT_OK)
        return code;
    weft_stretch s = whole(count);
    const fenv_t callers = weft_fp_enter();
    code = codec->type->encode_warm(codec, draw, in, &s, warm, ret_warm, out, cap, ret_len);
    weft_fp_leave(&callers);
    return code;
}

int weft_codec_decode(const weft_codec *codec, const void *in, size_t len, float *out, size_t count)
{
    if (count > COUNT_MOST || (count > 0 && !out) || (len > 0 && !in))
        return weft_fail(WEFT_EINVAL,
                         "codec %s: %zu bytes to %zu elements: NULL, or more than "
                         "2^40",
                         codec->type->name, len, count);
    weft_stretch s = whole(count);
    const fenv_t callers = weft_fp_enter();
    const int code = codec->type->decode(codec, &s, in, len, out, false);
    weft_fp_leave(&callers);
    return code;
}
