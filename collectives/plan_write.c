/* SPDX-License-Identifier: Apache-2.0 */
/* From plans to the text of a plan file, a step a line. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "collectives/plan_file.h"

typedef struct writer {
    void *text;
    size_t len, cap;
    size_t part, parts; /* elements of a part, and how many */
    int failed;
} writer;

static void put(writer *w, const char *text)
{
    const size_t len = strlen(text);

    if (w->failed)
        return;
    if (!weft_grow(&w->text, &w->cap, w->len + len + 1, 1)) {
        w->failed = weft_fail(WEFT_ENOMEM, "no memory for the text of a plan");
        return;
    }
    memcpy((char *)w->text + w->len, text, len + 1);
    w->len += len;
}

/* Writes the value and drops it; NULL: it could not be made. */
static void put_json(writer *w, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;

    if (text)
        put(w, text);
    else if (!w->failed)
        w->failed = weft_fail(WEFT_ENOMEM, "no memory for the text of a plan");
    free(text); /* from jansson's malloc, not ours */
    json_decref(value);
}

static void put_text(writer *w, const char *key, const char *text)
{
    json_t *value = text ? json_string(text) : NULL;

    if (!value)
        return;
    put(w, ",\n \"");
    put(w, key);
    put(w, "\": ");
    put_json(w, value);
}

static int add(json_t *o, const char *key, json_t *value)
{
    return json_object_set_new(o, key, value);
}

/* 0, or not 0 when something could not be made. */
static int add_span(const writer *w, json_t *o, weft_span span, uint32_t blocks)
{
    const size_t from = span.off / w->part, count = span.count / w->part;
    int bad = blocks > 1 ? add(o, "block", json_integer((json_int_t)span.block)) : 0;

    if (count == 1 && w->parts > 1)
        bad |= add(o, "part", json_integer((json_int_t)from));
    else if (count < w->parts)
        bad |= add(o, "parts", json_pack("[I,I]", (json_int_t)from, (json_int_t)(from + count)));
    return bad;
}

static int add_rest(const writer *w, json_t *o, const weft_plan *p, const weft_step *s)
{
    const bool crosses = weft_plan_crosses(p);
    const uint32_t larger = p->in_blocks > p->out_blocks ? p->in_blocks : p->out_blocks;
    const bool talks = s->verb == WEFT_VERB_SEND || s->verb == WEFT_VERB_RECV;
    int bad = 0;

    switch (s->verb) {
    case WEFT_VERB_PACK:
    case WEFT_VERB_FOLD:
        bad = add_span(w, o, s->span, p->in_blocks);
        break;
    case WEFT_VERB_UNPACK:
    case WEFT_VERB_ADD:
    case WEFT_VERB_REPLY:
        bad = add_span(w, o, s->span, p->out_blocks);
        break;
    case WEFT_VERB_SEND:
        bad = add(o, "to", json_integer(s->peer));
        break;
    case WEFT_VERB_RECV:
        bad = add(o, "from", json_integer(s->peer));
        bad |= add_span(w, o, s->span, crosses ? larger * larger : larger);
        if (s->raw)
            bad |= add(o, "raw", json_true());
        break;
    case WEFT_VERB_MERGE:
        bad = add(o, "other", json_integer(s->other));
        bad |= add(o, "order", json_string(s->other_first ? "other_first" : "slot_first"));
        break;
    case WEFT_VERB_SCALE:
        bad = add(o, "by", json_real(s->weight));
        break;
    default:
        break;
    }
    if (talks && s->joined)
        bad |= add(o, "joined", json_true());
    return bad;
}

static void put_step(writer *w, const weft_plan *p, const weft_step *s)
{
    json_t *o = json_pack("{s:s}", "do", weft_verb_name(s->verb));
    int bad = o == NULL;

    if (!bad && s->verb != WEFT_VERB_FENCE)
        bad = add(o, "slot", json_integer(s->slot));
    if (!bad)
        bad = add_rest(w, o, p, s);
    if (bad) {
        json_decref(o);
        o = NULL;
    }
    put_json(w, o);
}

static size_t common(size_t a, size_t b)
{
    while (b) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The largest part that every edge of every span is a multiple of. */
static size_t part_of(const weft_plan *plans)
{
    size_t part = plans[0].count;

    for (int rank = 0; rank < plans[0].size; rank++)
        for (size_t i = 0; i < plans[rank].step_count; i++) {
            const weft_span *span = &plans[rank].steps[i].span;
            part = common(common(part, span->off), span->count);
        }
    return part ? part : 1;
}

static int check_size(const weft_plan *plans, size_t parts)
{
    const size_t peers = (size_t)plans[0].size;
    size_t steps = 0, most = 0;

    for (size_t rank = 0; rank < peers; rank++) {
        steps += plans[rank].step_count;
        most = plans[rank].step_count > most ? plans[rank].step_count : most;
    }
    if (steps > WEFT_PLAN_FILE_STEPS || most > WEFT_PLAN_FILE_RANK_STEPS)
        return weft_fail(WEFT_ENOTSUP,
                         "a plan file holds %d steps, %d of a rank; these are %zu and %zu",
                         WEFT_PLAN_FILE_STEPS, WEFT_PLAN_FILE_RANK_STEPS, steps, most);
    if (peers > WEFT_PLAN_FILE_PEERS || parts > WEFT_PLAN_FILE_PARTS ||
        parts > WEFT_PLAN_FILE_CELLS / peers)
        return weft_fail(WEFT_ENOTSUP,
                         "a plan file holds %d peers, %d parts, and %d of their product; these are "
                         "%zu and %zu",
                         WEFT_PLAN_FILE_PEERS, WEFT_PLAN_FILE_PARTS, WEFT_PLAN_FILE_CELLS, peers,
                         parts);
    return WEFT_OK;
}

int weft_plan_file_write(weft_coll coll, int root, const weft_plan *plans, const char *name,
                         const char *note, char **ret_text)
{
    const int peers = plans[0].size;
    writer w = {.part = part_of(plans)};
    char number[80];
    int rc;

    w.parts = plans[0].count ? plans[0].count / w.part : 1;
    if (coll == WEFT_COLL_NEIGHBOR_AVERAGE)
        return weft_fail(WEFT_ENOTSUP, "there are no plan files of %s", weft_coll_name(coll));
    if ((rc = check_size(plans, w.parts)))
        return rc;
    snprintf(number, sizeof number, "\",\n \"peers\": %d,\n \"parts\": %zu", peers, w.parts);
    put(&w, "{\"weft_plan\": 1,\n \"collective\": \"");
    put(&w, weft_coll_name(coll));
    put(&w, number);
    if (weft_coll_rooted(coll)) {
        snprintf(number, sizeof number, ",\n \"root\": %d", root);
        put(&w, number);
    }
    put_text(&w, "name", name);
    put_text(&w, "note", note);
    put(&w, ",\n \"ranks\": [");
    for (int rank = 0; rank < peers; rank++) {
        put(&w, rank ? ",\n  [" : "\n  [");
        for (size_t i = 0; i < plans[rank].step_count && !w.failed; i++) {
            put(&w, i ? ",\n   " : "\n   ");
            put_step(&w, &plans[rank], &plans[rank].steps[i]);
        }
        put(&w, "]");
    }
    put(&w, "\n ]}\n");
    if (w.failed) {
        weft_free(w.text);
        return w.failed;
    }
    *ret_text = w.text;
    return WEFT_OK;
}
