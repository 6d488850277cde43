/* SPDX-License-Identifier: Apache-2.0 */
#include "call_data.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rankfile.h"

/* Read one rank's file for a purpose. 0, or the exit status. */
static int read_file(weft_peer *peer, const char *pattern, size_t element, void **ret,
                     size_t *ret_count)
{
    char path[WEFT_PATH_TEXT], why[WEFT_WHY_TEXT];
    if (!weft_pattern_name(pattern, peer->rank, path)) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "'%s' is too long", pattern);
    }
    if (weft_rankfile_read(path, element, ret, ret_count, why) != 0) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
    }
    return 0;
}

static int write_file(weft_peer *peer, const char *pattern, const void *bytes, size_t len)
{
    char path[WEFT_PATH_TEXT], why[WEFT_WHY_TEXT];
    if (pattern == NULL) {
        return 0;
    }
    if (!weft_pattern_name(pattern, peer->rank, path)) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "'%s' is too long", pattern);
    }
    if (weft_rankfile_write(path, bytes, len, why) != 0) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "%s", why);
    }
    return 0;
}

static int load_residual(weft_peer *peer, const weft_call_settings *s, weft_call_data *d)
{
    size_t count = d->in_count;
    if (s->residual_in != NULL) {
        void *bytes = NULL;
        const int bad = read_file(peer, s->residual_in, sizeof(float), &bytes, &count);
        if (bad != 0) {
            return bad;
        }
        d->residual = bytes;
    } else if (s->residual_out != NULL) {
        d->residual = calloc(count + 1, sizeof(float));
        if (d->residual == NULL) {
            return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
        }
    }
    if (count != d->in_count) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "the residual has %zu elements, the input %zu",
                              count, d->in_count);
    }
    return 0;
}

size_t weft_call_length(const weft_call_settings *s, int size, int from, int to)
{
    const size_t row = s->given > (size_t)size ? (size_t)from * (size_t)size : 0;
    return s->counts[row + (size_t)to];
}

size_t weft_call_given(const weft_call_settings *s, int size, int rank)
{
    size_t sum = 0;
    for (int r = 0; r < size; r++) {
        sum += weft_call_length(s, size, rank, r);
    }
    return sum;
}

/* One rank has the input: the others learn its length. */
static int learn_count(weft_peer *peer, const weft_call_settings *s, weft_call_data *d)
{
    uint64_t count = d->in_count;
    if (weft_broadcast(peer->group, &count, 1, WEFT_U64, s->root, NULL) != WEFT_OK) {
        return weft_peer_error(peer, "broadcast of the length");
    }
    d->in_count = (size_t)count;
    return 0;
}

/* The lengths of all ranks' inputs. */
static int learn_counts(weft_peer *peer, const weft_call_data *d)
{
    uint64_t *all = calloc((size_t)peer->size, sizeof(*all));
    const uint64_t mine = d->in_count;
    int bad = 0;
    if (all == NULL) {
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
    }
    if (weft_allgather(peer->group, &mine, all, 1, WEFT_U64, NULL) != WEFT_OK) {
        bad = weft_peer_error(peer, "collecting the lengths");
    }
    for (int r = 0; r < peer->size && bad == 0; r++) {
        d->out_counts[r] = (size_t)all[r];
    }
    free(all);
    return bad;
}

/* Blocks with lengths of their own. */
static int lay_out_lengths(weft_peer *peer, const weft_call_settings *s, weft_call_data *d)
{
    const weft_kind *k = s->kind;
    const int size = peer->size, rank = peer->rank;
    d->count = d->in_count;
    if (!k->in_blocks) {
        const int bad = learn_counts(peer, d);
        for (int r = 0; r < size && bad == 0; r++) {
            d->out_count += d->out_counts[r];
        }
        return bad;
    }
    if (s->given != (size_t)size && (!k->out_blocks || s->given != (size_t)size * (size_t)size)) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "--counts has %zu numbers for %d peers",
                              s->given, size);
    }
    for (int r = 0; r < size; r++) {
        d->in_counts[r] = weft_call_length(s, size, rank, r);
        d->out_counts[r] = weft_call_length(s, size, r, rank);
        d->out_count += k->out_blocks ? d->out_counts[r] : 0;
    }
    d->out_count = k->out_blocks ? d->out_count : d->in_counts[rank];
    if (weft_kind_has_in(k, rank, s->root) && weft_call_given(s, size, rank) != d->in_count) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "--counts sums up to %zu, the input has %zu",
                              weft_call_given(s, size, rank), d->in_count);
    }
    return 0;
}

/* Blocks of one length, or none. */
static int lay_out_even(weft_peer *peer, const weft_call_settings *s, weft_call_data *d)
{
    const weft_kind *k = s->kind;
    const size_t size = (size_t)peer->size;
    d->count = d->in_count;
    if (k->in_blocks && d->count % size != 0) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE,
                              "%s over %zu peers needs a multiple of %zu elements; the input has "
                              "%zu",
                              k->name, size, size, d->count);
    }
    d->count /= k->in_blocks ? size : 1;
    if (d->count > SIZE_MAX / 2 / s->element / size) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "the result is too long");
    }
    d->out_count = d->count * (k->out_blocks ? size : 1);
    return 0;
}

static int make_room(weft_peer *peer, const weft_call_settings *s, weft_call_data *d)
{
    const bool has_out = weft_kind_has_out(s->kind, peer->rank, s->root);
    if (d->out_count >= SIZE_MAX / s->element) {
        return weft_peer_fail(peer, WEFT_EXIT_USAGE, "the result is too long");
    }
    if (s->kind->one_buffer && d->in != NULL) {
        d->out = d->in;
        return 0;
    }
    d->out = has_out ? malloc(d->out_count * s->element + 1) : NULL;
    d->own = s->own_out != NULL ? calloc(d->in_count + 1, sizeof(float)) : NULL;
    if ((has_out && d->out == NULL) || (s->own_out != NULL && d->own == NULL)) {
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "no memory for %zu elements", d->out_count);
    }
    return 0;
}

int weft_call_load(weft_peer *peer, const weft_call_settings *s, weft_call_data *d)
{
    const weft_kind *k = s->kind;
    int bad = 0;
    if (k->empty) {
        return 0;
    }
    d->in_counts = calloc((size_t)peer->size, sizeof(*d->in_counts));
    d->out_counts = calloc((size_t)peer->size, sizeof(*d->out_counts));
    if (d->in_counts == NULL || d->out_counts == NULL) {
        return weft_peer_fail(peer, WEFT_EXIT_WRONG, "out of memory");
    }
    if (weft_kind_has_in(k, peer->rank, s->root)) {
        bad = read_file(peer, s->in, s->element, &d->in, &d->in_count);
    }
    if (bad == 0 && k->in_of_root) {
        bad = learn_count(peer, s, d);
    }
    bad = bad != 0 ? bad : load_residual(peer, s, d);
    bad = bad != 0 ? bad : k->lengths ? lay_out_lengths(peer, s, d) : lay_out_even(peer, s, d);
    return bad != 0 ? bad : make_room(peer, s, d);
}

int weft_call_save(weft_peer *peer, const weft_call_settings *s, const weft_call_data *d)
{
    int bad = 0;
    if (!s->kind->empty && weft_kind_has_out(s->kind, peer->rank, s->root)) {
        bad = write_file(peer, s->out, d->out, d->out_count * s->element);
    }
    bad = bad != 0 ? bad
                   : write_file(peer, s->residual_out, d->residual, d->in_count * sizeof(float));
    return bad != 0 ? bad : write_file(peer, s->own_out, d->own, d->in_count * sizeof(float));
}

void weft_call_release(weft_call_data *d)
{
    if (d->out != d->in) {
        free(d->out);
    }
    free(d->in);
    free(d->in_counts);
    free(d->out_counts);
    free(d->residual);
    free(d->own);
}
