/* SPDX-License-Identifier: Apache-2.0 */
/* From JSON to the steps of a plan file: every key is known and every value in its range, or the
 * error says where. */
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_file.h"

enum {
    DEPTH = 5, /* file, ranks, rank, step, "parts" */
    /* Brackets and commas of the largest plan: jansson's tree takes at most 250 bytes for one. */
    BRACKETS = 2 * WEFT_PLAN_FILE_STEPS + WEFT_PLAN_FILE_PEERS + 2,
    COMMAS = 6 * WEFT_PLAN_FILE_STEPS,
    OBJECT_KEYS = 16,           /* more than any object of a plan file has */
    NAME_MOST = WEFT_SPEC_TEXT, /* bytes of "name" */
};

/* Keys of a step, beside "do" and "note". */
enum {
    SLOT = 1u << 0,
    OTHER = 1u << 1,
    TO = 1u << 2,
    FROM = 1u << 3,
    SPAN = 1u << 4, /* part or parts, block */
    RAW = 1u << 5,
    JOINED = 1u << 6,
    ORDER = 1u << 7,
    BY = 1u << 8,
};

static const uint32_t keys_of[WEFT_VERB_COUNT] = {
    [WEFT_VERB_PACK] = SLOT | SPAN,
    [WEFT_VERB_SEND] = SLOT | TO | JOINED,
    [WEFT_VERB_RECV] = SLOT | FROM | SPAN | RAW | JOINED,
    [WEFT_VERB_FOLD] = SLOT | SPAN,
    [WEFT_VERB_MERGE] = SLOT | OTHER | ORDER,
    [WEFT_VERB_UNPACK] = SLOT | SPAN,
    [WEFT_VERB_ADD] = SLOT | SPAN,
    [WEFT_VERB_REPLY] = SLOT | SPAN,
    [WEFT_VERB_SCALE] = SLOT | BY,
    [WEFT_VERB_FENCE] = 0,
};

static const struct {
    const char *name;
    uint32_t bit; /* 0: every step may have it */
} step_keys[] = {{"do", 0},      {"slot", SLOT},   {"other", OTHER},   {"to", TO},
                 {"from", FROM}, {"part", SPAN},   {"parts", SPAN},    {"block", SPAN},
                 {"raw", RAW},   {"order", ORDER}, {"joined", JOINED}, {"by", BY},
                 {"note", 0}};
enum { STEP_KEYS = sizeof step_keys / sizeof *step_keys };

/* Where the reader is. */
typedef struct reader {
    weft_plan_file *file;
    const char *path;
    int rank;    /* -1: at the head */
    size_t step; /* SIZE_MAX: at no step */
    int slots;   /* how many the rank may have */
} reader;

static int wrong(const reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int wrong(const reader *r, const char *format, ...)
{
    char why[400], at[64] = "";
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    if (r->rank >= 0 && r->step != SIZE_MAX)
        snprintf(at, sizeof at, "rank %d, step %zu: ", r->rank, r->step);
    else if (r->rank >= 0)
        snprintf(at, sizeof at, "rank %d: ", r->rank);
    return weft_fail(WEFT_EINVAL, "plan file %s: %s%s", r->path, at, why);
}

/* What is seen of a text before a tree is made of it. */
typedef struct survey {
    int brackets, commas, depth;
    int keys[DEPTH + 1]; /* commas so far in the object at that depth; of an array -1 */
} survey;

/* Why no plan file is like that; NULL: one may be. */
static const char *look_at(survey *s, char c)
{
    const bool opens = c == '{' || c == '[';

    if (opens && s->depth == DEPTH)
        return "nested deeper than any plan";
    if (opens) {
        s->brackets++;
        s->keys[++s->depth] = c == '{' ? 0 : -1;
    }
    s->depth -= (c == '}' || c == ']') && s->depth > 0;
    if (c == ',') {
        s->commas++;
        if (s->keys[s->depth] >= 0 && ++s->keys[s->depth] >= OBJECT_KEYS)
            return "an object of more keys than any has";
    }
    return s->brackets > BRACKETS || s->commas > COMMAS ? "larger than any plan" : NULL;
}

static int look_over(const char *path, const char *text, size_t len)
{
    survey s = {.keys = {-1}};
    bool quoted = false;
    size_t line = 1;

    for (size_t i = 0; i < len; i++) {
        const char c = text[i];
        line += c == '\n';
        if (quoted) {
            i += c == '\\'; /* whatever follows ends no text; a line break there is an error */
            quoted = c != '"';
            continue;
        }
        quoted = c == '"';
        const char *why = look_at(&s, c);
        if (why)
            return weft_fail(WEFT_EINVAL, "plan file %s: line %zu: %s", path, line, why);
    }
    return WEFT_OK;
}

static const char *type_of(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",  [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a fraction", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null"};
    return value ? names[json_typeof(value)] : "missing";
}

static int take_integer(const reader *r, const char *key, const json_t *value, int64_t min,
                        int64_t max, int64_t *ret)
{
    const int64_t n = json_integer_value(value);

    if (!json_is_integer(value))
        return wrong(r, "\"%s\" is %s, not a whole number (%" PRId64 " to %" PRId64 ")", key,
                     type_of(value), min, max);
    if (n < min || n > max)
        return wrong(r, "\"%s\" is %" PRId64 ", not in %" PRId64 " ... %" PRId64, key, n, min, max);
    *ret = n;
    return WEFT_OK;
}

static int read_int(const reader *r, const json_t *o, const char *key, int min, int max, int *ret)
{
    int64_t n = 0;
    const int rc = take_integer(r, key, json_object_get(o, key), min, max, &n);

    if (!rc)
        *ret = (int)n;
    return rc;
}

static int read_bool(const reader *r, const json_t *o, const char *key, bool *ret)
{
    const json_t *value = json_object_get(o, key);

    if (value && !json_is_boolean(value))
        return wrong(r, "\"%s\" is %s, not true or false", key, type_of(value));
    *ret = json_is_true(value);
    return WEFT_OK;
}

/* A text that is for people only. */
static int check_text(const reader *r, const json_t *o, const char *key, size_t most)
{
    const json_t *value = json_object_get(o, key);

    if (value && !json_is_string(value))
        return wrong(r, "\"%s\" is %s, not a text", key, type_of(value));
    if (value && json_string_length(value) > most)
        return wrong(r, "\"%s\" is longer than %zu bytes", key, most);
    return WEFT_OK;
}

/* Is every key of the object among those? */
static int check_keys(const reader *r, json_t *o, const char *const *keys, size_t count)
{
    char all[160] = "";
    size_t len = 0;

    for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
        const char *key = json_object_iter_key(i);
        size_t k = 0;
        while (k < count && strcmp(keys[k], key) != 0)
            k++;
        if (k < count)
            continue;
        for (k = 0; k < count && len < sizeof all; k++)
            len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", k ? ", " : "", keys[k]);
        const char *near = weft_nearest(key, keys, count);
        return wrong(r, "unknown key \"%.40s\"%s%s%s; valid keys: %s", key,
                     near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", all);
    }
    return WEFT_OK;
}

/* "part": i, "parts": [from, to], or neither: the whole lane. */
static int read_parts(const reader *r, const json_t *o, weft_file_step *s)
{
    const json_t *part = json_object_get(o, "part"), *parts = json_object_get(o, "parts");
    const int count = r->file->parts;
    int64_t from = 0, to = count;
    int rc = WEFT_OK;

    if (part && parts)
        return wrong(r, "both \"part\" and \"parts\" are given");
    if (part) {
        rc = take_integer(r, "part", part, 0, count - 1, &from);
        to = from + 1;
    } else if (parts) {
        if (json_array_size(parts) != 2)
            return wrong(r, "\"parts\" is not [from, to], two whole numbers");
        rc = take_integer(r, "parts", json_array_get(parts, 0), 0, count, &from);
        if (!rc)
            rc = take_integer(r, "parts", json_array_get(parts, 1), from, count, &to);
    }
    s->from = (uint32_t)from;
    s->to = (uint32_t)to;
    return rc;
}

/* Blocks that the verb's spans count in. */
static int64_t blocks_of(const weft_plan_file *f, weft_verb verb)
{
    const int64_t in = weft_coll_in_blocks(f->coll, f->peers);
    const int64_t out = weft_coll_out_blocks(f->coll, f->peers);

    if (verb == WEFT_VERB_RECV)
        return in * out; /* of what travels: as many as the larger side has, or every pair */
    return verb == WEFT_VERB_PACK || verb == WEFT_VERB_FOLD ? in : out;
}

static int read_span(const reader *r, const json_t *o, weft_file_step *s)
{
    const json_t *block = json_object_get(o, "block");
    const int64_t blocks = blocks_of(r->file, s->verb);
    int64_t n = 0;
    int rc = WEFT_OK;

    if (block || blocks > 1)
        rc = take_integer(r, "block", block, 0, blocks - 1, &n);
    s->block = (uint32_t)n;
    return rc ? rc : read_parts(r, o, s);
}

static int read_order(const reader *r, const json_t *o, weft_file_step *s)
{
    const json_t *value = json_object_get(o, "order");
    const char *text = value ? json_string_value(value) : "slot_first";

    s->other_first = text && strcmp(text, "other_first") == 0;
    if (!s->other_first && (!text || strcmp(text, "slot_first") != 0))
        return wrong(r, "\"order\" is neither \"slot_first\" nor \"other_first\"");
    return WEFT_OK;
}

static int read_weight(const reader *r, const json_t *o, weft_file_step *s)
{
    const json_t *value = json_object_get(o, "by");

    if (!json_is_number(value))
        return wrong(r, "\"by\" is %s, not a number", type_of(value));
    s->weight = json_number_value(value);
    return WEFT_OK;
}

static int read_verb(const reader *r, const json_t *o, weft_verb *ret)
{
    const json_t *value = json_object_get(o, "do");
    const char *text = json_string_value(value), *names[WEFT_VERB_COUNT];

    if (!text)
        return wrong(r, "\"do\" is %s, not a text", type_of(value));
    for (int verb = 0; verb < WEFT_VERB_COUNT; verb++) {
        names[verb] = weft_verb_name((weft_verb)verb);
        if (strcmp(text, names[verb]) == 0) {
            *ret = (weft_verb)verb;
            return WEFT_OK;
        }
    }
    const char *near = weft_nearest(text, names, WEFT_VERB_COUNT);
    return wrong(r, "\"do\" is \"%.40s\", which is no verb%s%s%s", text,
                 near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static int read_step(const reader *r, json_t *o, weft_file_step *s)
{
    const char *keys[STEP_KEYS];
    const int peers = r->file->peers;
    size_t count = 0;
    int rc;

    *s = (weft_file_step){0};
    if (!json_is_object(o))
        return wrong(r, "is %s, not an object", type_of(o));
    if ((rc = read_verb(r, o, &s->verb)))
        return rc;
    const uint32_t has = keys_of[s->verb];
    for (size_t i = 0; i < STEP_KEYS; i++)
        if (!step_keys[i].bit || (has & step_keys[i].bit))
            keys[count++] = step_keys[i].name;
    if ((rc = check_keys(r, o, keys, count)) ||
        (rc = check_text(r, o, "note", WEFT_PLAN_FILE_BYTES)))
        return rc;
    if ((has & SLOT) && (rc = read_int(r, o, "slot", 0, r->slots - 1, &s->slot)))
        return rc;
    if ((has & OTHER) && (rc = read_int(r, o, "other", 0, r->slots - 1, &s->other)))
        return rc;
    if ((has & (TO | FROM)) &&
        (rc = read_int(r, o, has & TO ? "to" : "from", 0, peers - 1, &s->peer)))
        return rc;
    if ((has & SPAN) && (rc = read_span(r, o, s)))
        return rc;
    if ((has & ORDER) && (rc = read_order(r, o, s)))
        return rc;
    if ((has & BY) && (rc = read_weight(r, o, s)))
        return rc;
    if ((has & RAW) && (rc = read_bool(r, o, "raw", &s->raw)))
        return rc;
    return has & JOINED ? read_bool(r, o, "joined", &s->joined) : WEFT_OK;
}

static int read_ranks(reader *r, const json_t *ranks)
{
    weft_plan_file *f = r->file;
    size_t total = 0;
    int rc;

    if (!json_is_array(ranks))
        return wrong(r, "\"ranks\" is %s, not an array", type_of(ranks));
    if (json_array_size(ranks) != (size_t)f->peers)
        return wrong(r, "\"ranks\" holds %zu, \"peers\" is %d", json_array_size(ranks), f->peers);
    f->first = weft_calloc((size_t)f->peers + 1, sizeof *f->first);
    if (!f->first)
        return weft_fail(WEFT_ENOMEM, "plan file %s: no memory for %d ranks", r->path, f->peers);
    for (r->rank = 0; r->rank < f->peers; r->rank++) {
        const json_t *steps = json_array_get(ranks, (size_t)r->rank);
        const size_t count = json_array_size(steps);
        if (!json_is_array(steps))
            return wrong(r, "is %s, not an array of steps", type_of(steps));
        if (count > WEFT_PLAN_FILE_RANK_STEPS)
            return wrong(r, "%zu steps, more than %d", count, WEFT_PLAN_FILE_RANK_STEPS);
        total += count;
        f->first[r->rank + 1] = total;
    }
    r->rank = -1;
    if (total > WEFT_PLAN_FILE_STEPS)
        return wrong(r, "%zu steps, more than %d", total, WEFT_PLAN_FILE_STEPS);
    f->steps = weft_calloc(total, sizeof *f->steps);
    if (!f->steps)
        return weft_fail(WEFT_ENOMEM, "plan file %s: no memory for %zu steps", r->path, total);
    for (r->rank = 0; r->rank < f->peers; r->rank++) {
        const json_t *steps = json_array_get(ranks, (size_t)r->rank);
        const int count = (int)json_array_size(steps);
        r->slots = count > WEFT_PLAN_FILE_SLOTS ? count : WEFT_PLAN_FILE_SLOTS;
        for (r->step = 0; r->step < (size_t)count; r->step++)
            if ((rc = read_step(r, json_array_get(steps, r->step),
                                &f->steps[f->first[r->rank] + r->step])))
                return rc;
        r->step = SIZE_MAX;
    }
    return WEFT_OK;
}

static int read_coll(const reader *r, const json_t *o, weft_coll *ret)
{
    const json_t *value = json_object_get(o, "collective");
    const char *text = json_string_value(value), *names[WEFT_COLL_COUNT];

    if (!text)
        return wrong(r, "\"collective\" is %s, not a text", type_of(value));
    for (int coll = 0; coll < WEFT_COLL_COUNT; coll++) {
        names[coll] = weft_coll_name((weft_coll)coll);
        if (strcmp(text, names[coll]) != 0)
            continue;
        if (coll == WEFT_COLL_NEIGHBOR_AVERAGE)
            return wrong(r,
                         "\"collective\" is \"%s\", whose plan depends on the graph of each "
                         "call",
                         text);
        *ret = (weft_coll)coll;
        return WEFT_OK;
    }
    const char *near = weft_nearest(text, names, WEFT_COLL_COUNT);
    return wrong(r, "\"collective\" is \"%.40s\", which is none%s%s%s", text,
                 near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static int read_head(const reader *r, json_t *o)
{
    static const char *const keys[] = {"weft_plan", "collective", "peers", "parts",
                                       "root",      "name",       "note",  "ranks"};
    weft_plan_file *f = r->file;
    int rc, version;

    if (!json_is_object(o))
        return wrong(r, "is %s, not an object", type_of(o));
    if ((rc = read_int(r, o, "weft_plan", 1, 1, &version)) ||
        (rc = check_keys(r, o, keys, sizeof keys / sizeof *keys)) ||
        (rc = read_coll(r, o, &f->coll)) ||
        (rc = read_int(r, o, "peers", 1, WEFT_PLAN_FILE_PEERS, &f->peers)) ||
        (rc = check_text(r, o, "name", NAME_MOST)) ||
        (rc = check_text(r, o, "note", WEFT_PLAN_FILE_BYTES)))
        return rc;
    f->parts = 1;
    if (json_object_get(o, "parts") &&
        (rc = read_int(r, o, "parts", 1, WEFT_PLAN_FILE_PARTS, &f->parts)))
        return rc;
    if ((int64_t)f->parts * f->peers > WEFT_PLAN_FILE_CELLS)
        return wrong(r, "\"parts\" times \"peers\" is above %d", WEFT_PLAN_FILE_CELLS);
    if (weft_coll_rooted(f->coll))
        return read_int(r, o, "root", 0, f->peers - 1, &f->root);
    if (json_object_get(o, "root"))
        return wrong(r, "\"root\" is given, but %s has none", weft_coll_name(f->coll));
    return WEFT_OK;
}

static int parse(const char *path, const char *text, size_t len, weft_plan_file *f)
{
    reader r = {.file = f, .path = path, .rank = -1, .step = SIZE_MAX};
    json_error_t error;
    int rc = look_over(path, text, len);

    if (rc)
        return rc;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return weft_fail(WEFT_ENOMEM, "plan file %s: no memory for its JSON", path);
    if (!root)
        return weft_fail(WEFT_EINVAL, "plan file %s: line %d, column %d: %s", path, error.line,
                         error.column, error.text);
    if (!(rc = read_head(&r, root)))
        rc = read_ranks(&r, json_object_get(root, "ranks"));
    json_decref(root);
    return rc;
}

int weft_plan_file_parse(const char *path, const char *text, size_t len, weft_plan_file **ret)
{
    weft_plan_file *f = weft_calloc(1, sizeof *f);
    int rc = WEFT_OK;

    if (!f || !(f->path = weft_strdup(path)))
        rc = weft_fail(WEFT_ENOMEM, "plan file %s: out of memory", path);
    if (!rc && len > WEFT_PLAN_FILE_BYTES)
        rc = weft_fail(WEFT_EINVAL, "plan file %s: more than %d bytes", path, WEFT_PLAN_FILE_BYTES);
    if (!rc && !(rc = parse(path, text, len, f))) {
        f->digest = weft_plan_file_digest(f);
        *ret = f;
        return WEFT_OK;
    }
    weft_plan_file_free(f);
    return rc;
}
