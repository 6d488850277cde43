/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model in parts. A tensor that is encoded is a part of its own: its blocks and random numbers
 * count from its first element. Neighbours that go as they are share a part, up to PART_BYTES: few
 * operations, and the first of them under way early.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "group/dry_run.h"
#include "optim/optim.h"
#include <weft/group.h>

enum { MOST_TENSORS = 65536, SMALL = 10000, PART_BYTES = 4 << 20 };

static int check_tensor(const weft_optim_opts *opts, size_t i)
{
    const weft_tensor *t = &opts->tensors[i];

    if (t->name == NULL || t->name[0] == '\0' || strlen(t->name) >= WEFT_TENSOR_NAME ||
        strpbrk(t->name, " ,\t\n") != NULL) {
        return weft_fail(WEFT_EINVAL,
                         "tensor %zu: its name \"%.70s\" is not 1 to 63 characters without space "
                         "and comma",
                         i, t->name != NULL ? t->name : "");
    }
    return t->count > 0 ? WEFT_OK : weft_fail(WEFT_EINVAL, "tensor %s has no elements", t->name);
}

static int check_tensors(const weft_optim *o, const weft_optim_opts *opts)
{
    size_t sum = 0;

    if (opts->tensor_count == 0 || opts->tensor_count > MOST_TENSORS) {
        return weft_fail(WEFT_EINVAL, "%zu tensors are not 1 to %d", opts->tensor_count,
                         MOST_TENSORS);
    }
    for (size_t i = 0; i < opts->tensor_count; i++) {
        const int code = check_tensor(opts, i);
        if (code != WEFT_OK) {
            return code;
        }
        sum = opts->tensors[i].count > o->count - sum ? o->count + 1 : sum + opts->tensors[i].count;
        if (sum > o->count) {
            break;
        }
    }
    return sum == o->count
               ? WEFT_OK
               : weft_fail(WEFT_EINVAL, "the tensors have %s elements than the %zu of the model",
                           sum > o->count ? "more" : "fewer", o->count);
}

static int by_name(const void *a, const void *b)
{
    const weft_piece *const *left = a, *const *right = b;
    const int order = strcmp((*left)->name, (*right)->name);

    return order != 0 ? order : (*left)->first < (*right)->first ? -1 : 1;
}

static weft_piece *find(weft_piece *const *sorted, size_t count, const char *name)
{
    size_t low = 0, high = count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, sorted[middle]->name);
        if (order == 0) {
            return sorted[middle];
        }
        *(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
    }
    return NULL;
}

/* The names that are listed, with commas between them. */
static int mark_raw(weft_piece *const *sorted, size_t count, const char *names)
{
    for (const char *at = names; at != NULL && *at != '\0'; at += *at == ',') {
        const size_t n = strcspn(at, ",");
        char name[WEFT_TENSOR_NAME] = "";
        snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name) - 1), at);
        weft_piece *t = n < sizeof(name) ? find(sorted, count, name) : NULL;
        if (t == NULL) {
            return weft_fail(WEFT_EINVAL, "raw: there is no tensor named \"%s\"", name);
        }
        t->raw = true;
        at += n;
    }
    return WEFT_OK;
}

/* No name twice; those that go as they are, are marked. */
static int check_names(weft_optim *o, const char *raw)
{
    weft_piece **sorted = weft_calloc(o->piece_count, sizeof(weft_piece *));
    int code = WEFT_OK;

    if (sorted == NULL) {
        return weft_fail(WEFT_ENOMEM, "no memory for %zu names", o->piece_count);
    }
    for (size_t i = 0; i < o->piece_count; i++) {
        sorted[i] = &o->pieces[i];
    }
    qsort(sorted, o->piece_count, sizeof(weft_piece *), by_name);
    for (size_t i = 1; code == WEFT_OK && i < o->piece_count; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) {
            code = weft_fail(WEFT_EINVAL, "tensors %td and %td are both named %s",
                             sorted[i - 1] - o->pieces, sorted[i] - o->pieces, sorted[i]->name);
        }
    }
    if (code == WEFT_OK) {
        code = mark_raw(sorted, o->piece_count, raw);
    }
    weft_free(sorted);
    return code;
}

/* Options that speak of tensors where there are none, or where nothing goes as it is. */
static int check_options(const weft_optim *o, const weft_optim_opts *opts)
{
    if (opts->tensors == NULL && (opts->tensor_count > 0 || opts->raw != NULL)) {
        return weft_fail(WEFT_EINVAL, "%s is given without tensors",
                         opts->raw != NULL ? "raw" : "tensor_count");
    }
    if (o->name->signs && opts->raw != NULL) {
        return weft_fail(WEFT_ENOTSUP, "votes on all tensors: raw does not go with it");
    }
    return opts->tensors != NULL ? check_tensors(o, opts) : WEFT_OK;
}

static bool joins(const weft_part *p, bool raw, size_t count)
{
    return raw && p->raw && (p->count + count) * sizeof(float) <= PART_BYTES;
}

static void add_to_parts(weft_optim *o, size_t i)
{
    weft_piece *t = &o->pieces[i];

    if (o->part_count == 0 || !joins(&o->parts[o->part_count - 1], t->raw, t->count)) {
        o->parts[o->part_count++] = (weft_part){.first = t->first, .tensor = i, .raw = t->raw};
    }
    t->part = o->part_count - 1;
    o->parts[t->part].count += t->count;
    o->parts[t->part].tensors++;
}

int weft_parts_make(weft_optim *o, const weft_optim_opts *opts)
{
    const weft_tensor whole = {.name = "x", .count = o->count};
    const weft_tensor *tensors = opts->tensors != NULL ? opts->tensors : &whole;
    const size_t small = opts->small != 0 ? opts->small : SMALL;
    int code = check_options(o, opts);

    if (code != WEFT_OK) {
        return code;
    }
    o->piece_count = opts->tensors != NULL ? opts->tensor_count : 1;
    o->pieces = weft_calloc(o->piece_count, sizeof(*o->pieces));
    o->parts = weft_calloc(o->piece_count, sizeof(*o->parts));
    if (o->pieces == NULL || o->parts == NULL) {
        return weft_fail(WEFT_ENOMEM, "no memory for %zu tensors", o->piece_count);
    }
    for (size_t i = 0, first = 0; i < o->piece_count; first += tensors[i++].count) {
        o->pieces[i] = (weft_piece){.first = first, .count = tensors[i].count};
        snprintf(o->pieces[i].name, WEFT_TENSOR_NAME, "%s", tensors[i].name);
        o->pieces[i].raw = opts->tensors != NULL && !o->name->signs && tensors[i].count < small;
    }
    code = check_names(o, opts->raw);
    for (size_t i = 0; code == WEFT_OK && i < o->piece_count; i++) {
        add_to_parts(o, i);
    }
    return code;
}

void weft_parts_free(weft_optim *o)
{
    for (size_t i = 0; i < o->part_count; i++) {
        weft_request_free(&o->parts[i].request);
    }
    weft_free(o->parts);
    weft_free(o->pieces);
    o->parts = NULL;
    o->pieces = NULL;
    o->part_count = 0;
}

static float *at(float *vector, const weft_part *p)
{
    return vector != NULL ? vector + p->first : NULL;
}

/* How a part's operation goes. */
static weft_coll_opts options(weft_optim *o, weft_part *p)
{
    const bool plain = p->raw || o->exact, replies = o->reply != NULL && !plain;
    weft_coll_opts opts = {
        .size = sizeof(opts),
        .codec = "raw",
        .own = at(o->q, p),
        .residual = at(o->residual_next, p),
        .draw = o->steps + 1,
        .tensor = (uint32_t)p->tensor,
        .receipt = &p->receipt,
    };

    if (!plain) {
        opts.codec = o->codec_now != NULL && o->warm > p->share ? o->codec_now : o->codec;
        opts.algo = o->algo;
        opts.fidelity = o->name->summed ? WEFT_FIDELITY_EXACT : WEFT_FIDELITY_DEFAULT;
    }
    if (replies) {
        opts.reply_codec = o->reply;
        opts.fidelity = WEFT_FIDELITY_REQUANTIZED;
    }
    if (replies && o->memory != NULL) {
        opts.reply_memory = at(o->memory_next, p);
        opts.reply_alpha = (float)(1.0 / (1.0 + o->setting.reply_omega));
        opts.reply_carry = at(o->hbar, p);
        opts.owned = at(o->owned, p);
    }
    return opts;
}

static weft_op operation(const weft_optim *o)
{
    return o->name->signs ? WEFT_SUM : WEFT_MEAN;
}

static int try_parts(weft_optim *o)
{
    char algo[WEFT_DRY_ALGO];
    int code = WEFT_OK;

    for (size_t i = 0; code == WEFT_OK && i < o->part_count; i++) {
        weft_part *p = &o->parts[i];
        const weft_coll_opts opts = options(o, p);
        p->receipt = (weft_receipt){.size = sizeof(p->receipt)};
        code = weft_allreduce_dry_run(o->group, at(o->mean, p), at(o->mean, p), p->count, WEFT_F32,
                                      operation(o), &opts, algo);
        if (code != WEFT_OK && o->piece_count > 1) {
            weft_fail_context("tensor %s", o->pieces[p->tensor].name);
        }
    }
    return code;
}

int weft_parts_try(weft_optim *o)
{
    if (o->type->begin != NULL) {
        o->type->begin(o);
    }
    int code = try_parts(o);
    if (code == WEFT_OK && o->exact) { /* later it is not */
        o->exact = false;
        code = try_parts(o);
    }
    return code;
}

bool weft_parts_share_scales(weft_optim *o, const char *codec)
{
    const weft_coll_opts opts = {.size = sizeof(opts), .codec = codec, .algo = o->algo};
    char algo[WEFT_DRY_ALGO];

    for (size_t i = 0; i < o->part_count; i++) {
        weft_part *p = &o->parts[i];
        if (!p->raw &&
            weft_allreduce_dry_run(o->group, at(o->mean, p), at(o->mean, p), p->count, WEFT_F32,
                                   operation(o), &opts, algo) == WEFT_OK &&
            strncmp(algo, "shared", strlen("shared")) == 0) {
            return true;
        }
    }
    return false;
}

int weft_part_start(weft_optim *o, weft_part *p, const float *message, bool decline)
{
    weft_coll_opts opts = options(o, p);

    opts.decline = decline;
    p->receipt = (weft_receipt){.size = sizeof(p->receipt)};
    if (opts.residual != NULL) {
        memcpy(opts.residual, at(o->residual, p), p->count * sizeof(float));
    }
    if (opts.reply_memory != NULL && opts.owned != NULL) {
        memcpy(opts.reply_memory, at(o->memory, p), p->count * sizeof(float));
        memset(opts.owned, 0, p->count * sizeof(float));
    }
    return weft_allreduce_start(o->group, message, at(o->mean, p), p->count, WEFT_F32, operation(o),
                                &opts, &p->request);
}

static void spend(weft_optim *o, const weft_part *p)
{
    o->spending.encoded_bytes += p->receipt.encoded_bytes;
    o->spending.body_bytes_sent += p->receipt.body_bytes_sent;
    o->spending.wire_bytes_sent += p->receipt.wire_bytes_sent;
    if (!p->raw || o->using[0] == '\0') {
        snprintf(o->using, sizeof(o->using), "%s", p->receipt.algo);
    }
}

/* The last part began first; the last to end is told by its receipt, or by who waited for it. */
static void spend_time(weft_optim *o, bool waited)
{
    const int64_t began = o->parts[o->part_count - 1].began;
    int64_t ended = began;

    for (size_t i = 0; i < o->part_count; i++) {
        const weft_part *p = &o->parts[i];
        const int64_t end = p->began + (int64_t)p->receipt.total_ns;
        ended = end > ended ? end : ended;
    }
    if (waited) {
        ended = weft_now();
        o->spending.wait_ns = (uint64_t)(ended - (o->known > began ? o->known : began));
    }
    o->spending.operations_ns = (uint64_t)(ended - began);
}

int weft_parts_finish(weft_optim *o)
{
    weft_problem first = {0};
    bool waited = false;

    o->using[0] = '\0';
    for (size_t i = o->part_count; i-- > 0;) {
        weft_part *p = &o->parts[i];
        if (p->request == NULL) {
            continue;
        }
        int code = weft_test(p->request);
        if (code == WEFT_PENDING) {
            waited = true;
            code = weft_wait(p->request, WEFT_FOREVER);
        }
        if (code == WEFT_OK) {
            spend(o, p);
        } else if (first.code == WEFT_OK) {
            if (o->piece_count > 1) {
                weft_fail_context("tensor %s", o->pieces[p->tensor].name);
            }
            weft_problem_from_last(&first);
        }
        weft_request_free(&p->request);
    }
    spend_time(o, waited);
    return first.code == WEFT_OK ? WEFT_OK : weft_fail_problem(&first);
}

void weft_parts_abandon(weft_optim *o)
{
    for (size_t i = o->part_count; i-- > 0;) {
        weft_part *p = &o->parts[i];
        if (p->request != NULL) {
            weft_cancel(p->request);
        } else {
            (void)weft_part_start(o, p, o->mean + p->first, true);
        }
    }
    for (size_t i = 0; i < o->part_count; i++) {
        weft_request_free(&o->parts[i].request);
    }
}
