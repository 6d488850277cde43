/* SPDX-License-Identifier: Apache-2.0 */
/* Elias' code: reading, of bytes that anybody may have sent. */
#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/elias.h"
#include "codec/levels.h"

enum {
    WINDOW = WEFT_ELIAS_WINDOW,
    SMALL_WINDOW = 7,
    WORTH = 1 << 16, /* elements from which the larger table pays: making it takes 60 us */
    RUN = 5,         /* windows that one load of 64 bits holds from any bit on */
    ENTRY = WEFT_ELIAS_ENTRY,
    BATCH = WEFT_LEVELS_BATCH
};

static const char cut_short[] = "the levels are cut short";

/* ---- code by code ---- */

/* The 64 bits from `bit` on, zeros beyond the end. */
static uint64_t window_at(const weft_elias_reader *r, uint64_t bit)
{
    const size_t from = (size_t)(bit / 8);
    const unsigned skip = bit % 8;
    uint8_t bytes[9] = {0};
    if (from < r->len)
        memcpy(bytes, r->in + from, r->len - from < sizeof(bytes) ? r->len - from : sizeof(bytes));
    const uint64_t v = weft_load_big(bytes);
    return skip > 0 ? v << skip | bytes[8] >> (8 - skip) : v;
}

static const char *read_omega(weft_elias_reader *r, uint64_t *ret)
{
    const uint64_t end = 8 * (uint64_t)r->len;
    uint64_t n = 1;
    while (r->bit < end) {
        const uint64_t v = window_at(r, r->bit);
        if (!(v >> 63)) {
            r->bit++;
            *ret = n;
            return NULL;
        }
        if (n >= 64)
            return "a number of more than 64 bits";
        if (r->bit + n + 1 > end)
            return cut_short;
        r->bit += n + 1;
        n = v >> (63 - n);
    }
    return cut_short;
}

static const char *read_sign(weft_elias_reader *r, bool *ret_negative)
{
    if (r->bit >= 8 * (uint64_t)r->len)
        return cut_short;
    *ret_negative = window_at(r, r->bit) >> 63;
    r->bit++;
    return NULL;
}

/* One code: a level, and how many elements it is behind the one before. */
static const char *read_level(weft_elias_reader *r, uint64_t *ret_gap, int32_t *ret_level)
{
    uint64_t gap = 1, level = 0;
    bool negative = false;
    const char *reason = r->sparse ? read_omega(r, &gap) : NULL;
    if (!reason && r->sparse)
        reason = read_sign(r, &negative);
    if (!reason)
        reason = read_omega(r, &level);
    if (!reason && !r->sparse)
        level--;
    if (!reason && level > r->top)
        reason = "a level is above levels=";
    if (!reason && !r->sparse && level > 0)
        reason = read_sign(r, &negative);
    if (reason)
        return reason;
    *ret_gap = gap;
    *ret_level = negative ? -(int32_t)level : (int32_t)level;
    return NULL;
}

/* The next code into next and level. */
static const char *read_ahead(weft_elias_reader *r)
{
    uint64_t gap = 0;
    const char *reason = read_level(r, &gap, &r->level);
    if (reason)
        return reason;
    if (gap > r->count - (r->next + 1))
        return "an index is beyond the elements";
    r->next += gap;
    r->left--;
    r->ahead = true;
    return NULL;
}

/* ---- the table ---- */

/* What a window begins with: one code. bits 0: one that is longer. */
typedef struct one_code {
    int8_t level;
    uint8_t gap, bits;
} one_code;

static void set_code(one_code *table, unsigned window, uint64_t code, unsigned bits, one_code it)
{
    if (bits > window)
        return;
    const unsigned others = window - bits;
    it.bits = (uint8_t)bits;
    for (size_t i = 0; i < (size_t)1 << others; i++)
        table[(code << others) + i] = it;
}

/* Codes of levels and gaps below 16 are all that fit a window. */
static void make_codes(one_code *table, unsigned window, bool sparse)
{
    enum { SHORT = 16 };
    weft_elias_codes o;
    weft_elias_make(&o);
    memset(table, 0, sizeof(*table) << window);
    if (!sparse)
        set_code(table, window, 0, 1, (one_code){.level = 0, .gap = 1});
    for (unsigned gap = 1; gap < (sparse ? SHORT : 2); gap++)
        for (unsigned level = 1; level < SHORT; level++) {
            const unsigned n = sparse ? level : level + 1;
            const unsigned g = weft_elias_digits(gap), d = weft_elias_digits(n);
            const uint64_t gap_code = (o.prefix[g] + gap) << 1, code = (o.prefix[d] + n) << 1;
            for (unsigned negative = 0; negative < 2; negative++) {
                const one_code it = {.level = (int8_t)(negative ? -(int)level : (int)level),
                                     .gap = (uint8_t)gap};
                if (sparse)
                    set_code(table, window, (gap_code << 1 | negative) << o.bits[d] | code,
                             o.bits[g] + 1u + o.bits[d], it);
                else
                    set_code(table, window, code << 1 | negative, o.bits[d] + 1u, it);
            }
        }
}

static weft_elias_entry entry_for(const one_code *table, unsigned window, unsigned bits)
{
    weft_elias_entry e = {.count = 0};
    const unsigned mask = (1u << window) - 1;
    for (;;) {
        const one_code it = table[bits << e.bits & mask];
        if (it.bits == 0 || e.bits + it.bits > window || e.count + it.gap > ENTRY)
            return e;
        e.count = (uint8_t)(e.count + it.gap);
        e.level[e.count - 1] = it.level;
        e.bits = (uint8_t)(e.bits + it.bits);
        e.codes++;
    }
}

static void make_table(weft_elias_reader *r)
{
    one_code codes[1 << WINDOW];
    make_codes(codes, r->window, r->sparse);
    for (unsigned bits = 0; bits < 1u << r->window; bits++)
        r->table[bits] = entry_for(codes, r->window, bits);
}

static const char *begin_again(weft_elias_reader *r)
{
    r->bit = 0;
    r->at = 0;
    r->ahead = false;
    r->left = r->count;
    r->next = UINT64_MAX; /* and a gap of 1 makes index 0 */
    if (!r->sparse)
        return NULL;
    uint64_t nonzero = 1;
    const char *reason = read_omega(r, &nonzero);
    r->left = nonzero - 1;
    if (!reason && r->left > r->count)
        reason = "more levels than elements";
    return reason;
}

const char *weft_elias_begin(weft_elias_reader *r, bool sparse, const uint8_t *in, size_t len,
                             uint64_t count, unsigned top)
{
    r->in = in;
    r->len = len;
    r->count = count;
    r->top = top;
    r->sparse = sparse;
    r->window = count < WORTH ? SMALL_WINDOW : WINDOW;
    make_table(r);
    return begin_again(r);
}

void weft_elias_rewind(weft_elias_reader *r)
{
    const char *reason = begin_again(r);
    assert(!reason);
    (void)reason;
}

/* ---- batches ---- */

/* Elements of `windows` windows, from one load; stops making progress at a code that is longer
 * than its window. number has room for windows * ENTRY. Returns how many elements. */
static inline size_t read_windows(weft_elias_reader *r, unsigned windows, uint16_t *number,
                                  bool *ret_stuck)
{
    const unsigned shift = 64 - r->window;
    const uint16_t top = (uint16_t)r->top;
    uint64_t v = weft_load_big(r->in + r->bit / 8) << (r->bit % 8);
    size_t done = 0, codes = 0, bits = 0;
    unsigned last = 0;
    for (unsigned k = 0; k < windows; k++) {
        const weft_elias_entry *e = &r->table[v >> shift];
        for (size_t i = 0; i < ENTRY; i++)
            number[done + i] = (uint16_t)(top + e->level[i]);
        last = e->count;
        done += e->count;
        codes += e->codes;
        bits += e->bits;
        v <<= e->bits;
    }
    r->bit += bits;
    r->left -= codes;
    r->next += done;
    *ret_stuck = last == 0;
    return done;
}

/* Numbers by the table, as long as all that a run may read is there. */
static size_t read_runs(weft_elias_reader *r, uint16_t *number, size_t count)
{
    size_t i = 0;
    bool stuck = false;
    while (!stuck && i + RUN * ENTRY <= count && r->left >= RUN * ENTRY && r->bit / 8 + 8 <= r->len)
        i += read_windows(r, RUN, number + i, &stuck);
    while (!stuck && i + ENTRY <= count && r->left >= ENTRY && r->bit / 8 + 8 <= r->len)
        i += read_windows(r, 1, number + i, &stuck);
    return i;
}

const char *weft_elias_read(weft_elias_reader *r, uint16_t *number, size_t count)
{
    const uint64_t from = r->at;
    size_t i = 0;
    assert(count <= BATCH);
    r->at += count;
    while (i < count) {
        if (!r->ahead) {
            i += read_runs(r, number + i, count - i);
            const char *reason = i < count && r->left > 0 ? read_ahead(r) : NULL;
            if (reason)
                return reason;
        }
        const bool inside = r->ahead && r->next < r->at;
        const size_t to = inside ? (size_t)(r->next - from) : count;
        while (i < to)
            number[i++] = (uint16_t)r->top;
        if (inside) {
            number[i++] = (uint16_t)((int)r->top + r->level);
            r->ahead = false;
        }
    }
    return NULL;
}

const char *weft_elias_end(const weft_elias_reader *r)
{
    if (r->left > 0 || r->ahead)
        return "fewer levels than their number says";
    if ((r->bit + 7) / 8 < r->len)
        return "bytes behind the levels";
    if (r->bit % 8 > 0 && (uint8_t)(r->in[r->bit / 8] << (r->bit % 8)))
        return "non-zero padding";
    return NULL;
}

size_t weft_elias_byte(const weft_elias_reader *r)
{
    return (size_t)(r->bit / 8);
}
