/* SPDX-License-Identifier: Apache-2.0 */
/*
 * powersgd: the vector as a matrix M, sent as two thin factors, M ~ P Q^T. Biased: it belongs under
 * error feedback. One-sided power iteration (Vogels, Karimireddy, Jaggi 2019, algorithm 1): from a
 * start S of `rank` columns P = M S, P is made orthonormal, Q = M^T P. So P Q^T is the projection
 * of M on the space that P spans: exact when M has at most that rank, and never longer than M.
 *
 * Matrix: rows=0 stands for ceil(sqrt(count)) rows, columns = ceil(count / rows) whatever count is;
 * then as many rows as the elements fill, the last padded with zeros. Rows are raised where columns
 * would pass 2^31 - 1. Only count and the parameters decide, so a decoder knows what must come.
 *
 * Wire, little endian:
 *   4 bytes  u32 rows       4 bytes  u32 columns       2 bytes  u16 rank
 *   P        rank vectors of rows binary32, then Q: rank vectors of columns binary32
 * Where P and Q would have as many numbers as there are elements or more, rank is 0 and the
 * elements follow as they are: nothing would be won by losing.
 *
 * Start: standard normal numbers, the same at every step and on all peers: Philox with member
 * 2^32 - 2, keyed by seed and tensor alone; or the Q that an earlier call for the same tensor gave
 * (warm start): then one step a call follows the leading singular vectors as they move.
 *
 * Bits: the products of encode are BLAS's, and differ between CPUs and numbers of threads; what
 * they give is only sent. decode, which every peer must do alike, is a sum over the rank in order,
 * by the kernels.
 */
#include <assert.h>
#include <cblas.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "codec/codec.h"
#include "codec/refuse.h"
#include "kernel/kernel.h"

enum { RANK, ROWS }; /* order of the parameters */
enum { HEAD_BYTES = 10, TILE = 1024, PASSES = 4, QUAD = 4 };

#define START_MEMBER (UINT32_MAX - 1)

typedef float any_float __attribute__((aligned(1), may_alias));

static const weft_param params[] = {
    [RANK] = {.key = "rank",
              .value = "4",
              .min = 1,
              .max = 1024,
              .integer = 1,
              .help = "columns of the two factors"},
    [ROWS] = {.key = "rows",
              .value = "0",
              .min = 0,
              .max = 1 << 30,
              .integer = 1,
              .help = "rows of the matrix that the vector is seen as; 0: the root of its length"},
    {.key = NULL},
};

typedef struct matrix {
    size_t count, rows, columns;
    size_t rank;  /* 0: the elements are sent as they are */
    size_t whole; /* rows that the elements fill; the tail of a last one is padded */
    size_t tail;  /* elements of the last row when it is not full, else 0 */
} matrix;

static size_t divide_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static size_t root_up(size_t n)
{
    size_t r = (size_t)sqrt((double)n); /* n <= 2^40: exact, or one off */
    while (r > 0 && (r - 1) * (r - 1) >= n)
        r--;
    while (r * r < n)
        r++;
    return r;
}

static matrix matrix_of(const weft_codec *c, size_t count)
{
    matrix m = {.count = count};
    if (count == 0)
        return m;
    const size_t least = divide_up(count, INT32_MAX), rank = (size_t)c->spec.number[RANK];
    m.rows = (size_t)c->spec.number[ROWS];
    m.rows = m.rows == 0 ? root_up(count) : m.rows < count ? m.rows : count;
    m.rows = m.rows > least ? m.rows : least;
    m.columns = divide_up(count, m.rows);
    m.rows = divide_up(count, m.columns);
    m.rank = rank * (m.rows + m.columns) < count ? rank : 0;
    m.whole = count / m.columns;
    m.tail = count % m.columns;
    return m;
}

static size_t numbers_of(const matrix *m)
{
    return m->rank > 0 ? m->rank * (m->rows + m->columns) : m->count;
}

static size_t block(const weft_codec *c)
{
    (void)c;
    return 0;
}

static size_t bound(const weft_codec *c, const weft_stretch *s)
{
    const matrix m = matrix_of(c, s->count);
    return HEAD_BYTES + numbers_of(&m) * sizeof(float);
}

static size_t state(const weft_codec *c, const weft_stretch *s)
{
    const matrix m = matrix_of(c, s->count);
    return m.rank * m.columns;
}

static void put_head(const matrix *m, uint8_t out[HEAD_BYTES])
{
    const uint32_t rows = (uint32_t)m->rows, columns = (uint32_t)m->columns;
    const uint16_t rank = (uint16_t)m->rank;
    memcpy(out, &rows, sizeof(rows));
    memcpy(out + 4, &columns, sizeof(columns));
    memcpy(out + 8, &rank, sizeof(rank));
}

/* ---- encode ---- */

/* Four standard normal numbers (Box, Muller 1958). */
static void draw_normal(const weft_draw *draw, uint64_t at, float out[QUAD])
{
    const uint32_t counter[4] = {(uint32_t)at, (uint32_t)(at >> 32), draw->tensor << 16,
                                 START_MEMBER};
    const uint32_t key[2] = {(uint32_t)draw->seed, (uint32_t)(draw->seed >> 32)};
    uint32_t word[4];
    weft_philox(counter, key, word);
    for (int i = 0; i < QUAD; i += 2) {
        const double radius = sqrt(-2.0 * log(((double)word[i] + 1.0) * 0x1p-32));
        const double angle = 6.283185307179586 * 0x1p-32 * (double)word[i + 1];
        out[i] = (float)(radius * cos(angle));
        out[i + 1] = (float)(radius * sin(angle));
    }
}

/* The k-th vector of the start, times scale. A warm one comes at the size of M, whose square might
 * leave the range of float: only its direction matters. */
static void start_vector(const weft_draw *draw, size_t k, size_t columns, const float *warm,
                         double scale, float *out)
{
    const float size = warm ? weft_kernel_maxabs(warm, columns) : 0.0f;
    if (warm && size > 0) {
        for (size_t i = 0; i < columns; i++)
            out[i] = (float)((double)warm[i] / (double)size * scale);
        return;
    }
    const uint64_t first = (uint64_t)k * divide_up(columns, QUAD);
    for (size_t i = 0; i < columns; i += QUAD) {
        float quad[QUAD];
        draw_normal(draw, first + i / QUAD, quad);
        for (size_t j = 0; j < QUAD && i + j < columns; j++)
            out[i + j] = (float)((double)quad[j] * scale);
    }
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/*
 * Gram-Schmidt on `rank` vectors of n floats, each pass repeated until it takes no more than half
 * of a vector away (Daniel, Gragg, Kaufman, Stewart 1976). What is left of a vector that the others
 * span already is rounding errors: it becomes zeros.
 */
static void orthonormalize(float *p, size_t n, size_t rank)
{
    for (size_t k = 0; k < rank; k++) {
        float *v = p + k * n;
        const double before = sqrt(dot(v, v, n));
        double last = before, norm = before;
        for (int pass = 0; k > 0 && pass < PASSES; pass++) {
            for (size_t j = 0; j < k; j++) {
                const float *u = p + j * n;
                const double along = dot(u, v, n);
                for (size_t i = 0; i < n; i++)
                    v[i] = (float)((double)v[i] - along * (double)u[i]);
            }
            norm = sqrt(dot(v, v, n));
            if (norm > last / 2)
                break;
            last = norm;
        }
        const double by = norm > before * 0x1p-20 ? 1.0 / norm : 0.0;
        for (size_t i = 0; i < n; i++)
            v[i] = (float)((double)v[i] * by);
    }
}

/* p = the start on M's rows, q = P on M's columns. start has room for rank * columns floats. */
static void factor(const matrix *m, const float *v, const float *start, float *p, float *q)
{
    const int rank = (int)m->rank, rows = (int)m->rows, columns = (int)m->columns;
    const int whole = (int)m->whole, tail = (int)m->tail;
    const float *last = v + m->whole * m->columns;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rank, whole, columns, 1.0f, start, columns,
                v, columns, 0.0f, p, rows);
    if (tail > 0)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rank, 1, tail, 1.0f, start, columns,
                    last, columns, 0.0f, p + whole, rows);
    orthonormalize(p, m->rows, m->rank);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rank, columns, whole, 1.0f, p, rows, v,
                columns, 0.0f, q, columns);
    if (tail > 0)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rank, tail, 1, 1.0f, p + whole, rows,
                    last, columns, 1.0f, q, columns);
}

/* Can every sum of products be held? Half of the range is left for rounding. */
static bool product_is_finite(const matrix *m, const float *p, const float *q)
{
    const double most = (double)weft_kernel_maxabs(p, m->rank * m->rows) *
                        (double)weft_kernel_maxabs(q, m->rank * m->columns) * (double)m->rank;
    return most <= (double)FLT_MAX / 2;
}

/* The factors, one behind the other, into numbers. room: rank * columns floats. */
static int factorize(const matrix *m, const weft_draw *draw, const float *v, double most,
                     const float *warm, float *room, float *numbers)
{
    const double scale = fmin(fmax(1.0 / most, 0x1p-100), 0x1p100); /* so that P is about 1 */
    for (size_t k = 0; k < m->rank; k++)
        start_vector(draw, k, m->columns, warm ? warm + k * m->columns : NULL, scale,
                     room + k * m->columns);
    float *p = numbers, *q = p + m->rank * m->rows;
    factor(m, v, room, p, q);
    if (!weft_kernel_finite(numbers, numbers_of(m)) || !product_is_finite(m, p, q))
        return weft_fail(WEFT_ENONFINITE,
                         "codec powersgd: the factors of the elements %" PRIu64 " to %" PRIu64
                         " overflow float32",
                         draw->first, draw->first + m->count - 1);
    return WEFT_OK;
}

static int check_input(const any_float *v, size_t count, uint64_t index, float most)
{
    if (isfinite(most))
        return WEFT_OK;
    return weft_codec_nonfinite("powersgd", (const float *)v, count, index, INFINITY);
}

/* warm, ret_warm: rank * columns floats, the Q before and after; may be the same. */
static int encode_warm(const weft_codec *c, const weft_draw *draw, const void *lane,
                       const weft_stretch *s, const float *warm, float *ret_warm, void *out,
                       size_t cap, size_t *ret_len)
{
    const matrix m = matrix_of(c, s->count);
    const any_float *v = (const any_float *)lane + s->off;
    const size_t len = HEAD_BYTES + numbers_of(&m) * sizeof(float);
    const float most = weft_kernel_maxabs((const float *)v, s->count);
    assert(cap >= len);
    (void)cap;
    int code = check_input(v, s->count, draw->first + s->off, most);
    if (code == WEFT_OK && warm && !weft_kernel_finite(warm, m.rank * m.columns))
        code = weft_fail(WEFT_EINVAL, "codec powersgd: the state of the warm start is not finite");
    if (code != WEFT_OK)
        return code;
    if (m.rank == 0) {
        put_head(&m, out);
        if (m.count > 0)
            memcpy((uint8_t *)out + HEAD_BYTES, v, m.count * sizeof(float));
        *ret_len = len;
        return WEFT_OK;
    }
    /* BLAS wants its floats aligned, which messages and callers' buffers need not be. */
    const bool copied = (uintptr_t)v % _Alignof(float) != 0;
    const size_t state_count = m.rank * m.columns;
    float *numbers = weft_calloc(numbers_of(&m), sizeof(float));
    float *room = weft_calloc(state_count, sizeof(float));
    float *copy = copied ? weft_calloc(m.count, sizeof(float)) : NULL;
    if (!numbers || !room || (copied && !copy)) {
        code = weft_fail(WEFT_ENOMEM, "codec powersgd: %zu elements: out of memory", m.count);
    } else {
        const weft_draw of_span = {draw->seed, draw->member, draw->tensor, draw->draw,
                                   draw->first + s->off};
        if (copied)
            memcpy(copy, v, m.count * sizeof(float));
        code = factorize(&m, &of_span, copied ? copy : (const float *)v, (double)most, warm, room,
                         numbers);
    }
    if (code == WEFT_OK) {
        put_head(&m, out);
        memcpy((uint8_t *)out + HEAD_BYTES, numbers, len - HEAD_BYTES);
        if (ret_warm)
            memcpy(ret_warm, numbers + m.rank * m.rows, state_count * sizeof(float));
        *ret_len = len;
    }
    weft_free(numbers);
    weft_free(room);
    weft_free(copy);
    return code;
}

static int encode(const weft_codec *c, const weft_draw *draw, const void *lane,
                  const weft_stretch *s, void *out, size_t cap, size_t *ret_len)
{
    return encode_warm(c, draw, lane, s, NULL, NULL, out, cap, ret_len);
}

/* ---- decode ---- */

static int refuse(size_t off, const char *reason)
{
    return weft_fail(WEFT_ECODEC, "codec powersgd: offset %zu: %s", off, reason);
}

/* The first number that is not finite, or the product; out is not written before this passed. */
static int check_numbers(const matrix *m, const any_float *numbers)
{
    const size_t n = numbers_of(m);
    if (!weft_kernel_finite((const float *)numbers, n)) {
        size_t i = 0;
        while (i < n - 1 && isfinite(numbers[i]))
            i++;
        return refuse(HEAD_BYTES + i * sizeof(float),
                      m->rank == 0            ? "an element is not finite"
                      : i < m->rank * m->rows ? "a number of the left factor is not finite"
                                              : "a number of the right factor is not finite");
    }
    if (m->rank > 0 &&
        !product_is_finite(m, (const float *)numbers, (const float *)(numbers + m->rank * m->rows)))
        return refuse(HEAD_BYTES, "the product of the factors overflows float32");
    return WEFT_OK;
}

/* n <= TILE elements of row i, from column `from` on. Terms are added in order of k, from zero. */
static void multiply(const matrix *m, const any_float *p, const any_float *q, size_t i, size_t from,
                     size_t n, float *out)
{
    memset(out, 0, n * sizeof(*out));
    for (size_t k = 0; k < m->rank; k++)
        weft_kernel_axpy(out, p[k * m->rows + i], (const float *)(q + k * m->columns + from), n);
}

static int decode(const weft_codec *c, const weft_stretch *s, const void *in, size_t len, void *out,
                  bool add)
{
    const matrix m = matrix_of(c, s->count);
    const size_t want = HEAD_BYTES + numbers_of(&m) * sizeof(float);
    const any_float *p = (const any_float *)((const uint8_t *)in + HEAD_BYTES);
    uint8_t head[HEAD_BYTES];
    if (len != want)
        return weft_fail(WEFT_ECODEC, "codec powersgd: offset %zu: %zu elements take %zu bytes",
                         len, s->count, want);
    put_head(&m, head);
    for (size_t i = 0; i < HEAD_BYTES; i++)
        if (((const uint8_t *)in)[i] != head[i])
            return refuse(i, i < 4   ? "the number of rows is another"
                             : i < 8 ? "the number of columns is another"
                                     : "the rank is another");
    int code = m.count > 0 ? check_numbers(&m, p) : WEFT_OK;
    if (code != WEFT_OK || m.count == 0)
        return code;
    any_float *values = out;
    if (m.rank == 0) {
        if (add)
            weft_kernel_add((float *)values, (const float *)values, (const float *)p, m.count);
        else
            memcpy(out, p, m.count * sizeof(float));
        return WEFT_OK;
    }
    const any_float *q = p + m.rank * m.rows;
    for (size_t i = 0; i < m.rows; i++) {
        const size_t width = i < m.whole ? m.columns : m.tail;
        for (size_t from = 0; from < width; from += TILE) {
            float tile[TILE];
            const size_t n = width - from < TILE ? width - from : TILE;
            any_float *at = values + i * m.columns + from;
            multiply(&m, p, q, i, from, n, tile);
            if (add)
                weft_kernel_add((float *)at, (const float *)at, tile, n);
            else
                memcpy(at, tile, n * sizeof(float));
        }
    }
    return WEFT_OK;
}

extern const weft_codec_type weft_codec_powersgd;
const weft_codec_type weft_codec_powersgd = {
    .name = "powersgd",
    .summary = "the vector as a matrix of low rank: two thin factors; biased",
    .source = "Vogels et al. 2019 (PowerSGD)",
    .traits = WEFT_CODEC_WHOLE,
    .params = params,
    .block = block,
    .bound = bound,
    .encode = encode,
    .decode = decode,
    .state = state,
    .encode_warm = encode_warm,
};
