/* SPDX-License-Identifier: Apache-2.0 */
/* How ranks sit in rings and trees: a list, or worked out from a matrix of links. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/spec.h"
#include "base/status.h"
#include "group/group.h"

static const weft_param params[] = {
    {.key = "path", .value = "", .min = 1, .max = 400, .text = 1, .help = "file of the matrix"},
    {.key = "bytes",
     .value = "65536",
     .min = 0,
     .max = 0x1p40,
     .integer = 1,
     .help = "of the messages that the order is to be good for"},
    {.key = NULL}};

/* All of 0 … size-1, each once, commas between. */
static int read_list(int *order, const char *text, int size)
{
    unsigned char *seen = weft_calloc((size_t)size, 1);
    const char *at = text;
    int rc = seen != NULL ? WEFT_OK : weft_fail(WEFT_ENOMEM, "out of memory for an order");
    for (int i = 0; rc == WEFT_OK && i < size; i++) {
        char *end;
        const long rank = strtol(at, &end, 10);
        if (end == at || *at < '0' || *at > '9' || rank >= size ||
            *end != (i + 1 < size ? ',' : '\0')) {
            rc = weft_fail(WEFT_EINVAL,
                           "order \"%.80s\": at place %d stands no rank below %d with a comma "
                           "between two and none behind the last",
                           text, i, size);
        } else if (seen[rank]) {
            rc = weft_fail(WEFT_EINVAL, "order \"%.80s\": rank %ld comes twice", text, rank);
        } else {
            seen[rank] = 1;
            order[i] = (int)rank;
            at = end + 1;
        }
    }
    weft_free(seen);
    return rc;
}

static int read_links(weft_orders *o, const char *text, int size)
{
    weft_links *links = NULL;
    weft_spec spec;
    int rc = weft_spec_parse("order", text, params, &spec);
    if (rc != WEFT_OK) {
        return rc;
    }
    rc = weft_links_open(&links, weft_spec_text(&spec, 0));
    if (rc == WEFT_OK && weft_links_size(links) != size) {
        rc = weft_fail(WEFT_EINVAL, "order: %s holds %d peers, the group %d",
                       weft_spec_text(&spec, 0), weft_links_size(links), size);
    }
    if (rc == WEFT_OK) {
        rc = weft_order_ring(links, (size_t)spec.number[1], o->ring);
    }
    if (rc == WEFT_OK) {
        rc = weft_order_tree(links, 0, (size_t)spec.number[1], o->tree);
    }
    weft_links_close(&links);
    return rc;
}

static uint64_t digest_of(const weft_orders *o, int size)
{
    const size_t bytes = (size_t)size * sizeof(int);
    return weft_hash64(o->ring, bytes) * 31 + weft_hash64(o->tree, bytes);
}

int weft_orders_make(weft_orders *ret, const char *text, int size)
{
    const size_t bytes = (size_t)size * sizeof(int);
    weft_orders o = {.ring = weft_alloc(bytes), .tree = weft_alloc(bytes)};
    int rc = o.ring != NULL && o.tree != NULL ? WEFT_OK
                                              : weft_fail(WEFT_ENOMEM, "out of memory for orders");
    if (rc == WEFT_OK && text[0] >= '0' && text[0] <= '9') {
        rc = read_list(o.ring, text, size);
        memcpy(o.tree, o.ring, rc == WEFT_OK ? bytes : 0);
    } else if (rc == WEFT_OK) {
        rc = read_links(&o, text, size);
    }
    if (rc != WEFT_OK) {
        weft_orders_free(&o);
        return rc;
    }
    o.digest = digest_of(&o, size);
    *ret = o;
    return WEFT_OK;
}

static void among(int *to, const int *from, const int *place, int peers)
{
    for (int i = 0; i < peers; i++) {
        if (place[from[i]] >= 0) {
            *to++ = place[from[i]];
        }
    }
}

void weft_orders_among(weft_orders *ret, const weft_orders *whole, const int *place, int peers,
                       int size)
{
    among(ret->ring, whole->ring, place, peers);
    among(ret->tree, whole->tree, place, peers);
    ret->digest = digest_of(ret, size);
}

void weft_orders_free(weft_orders *o)
{
    weft_free(o->ring);
    weft_free(o->tree);
    *o = (weft_orders){0};
}
