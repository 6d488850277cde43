/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint file: what one peer needs to go on, and what others would go on with. Numbers are of
 * 64 bits, little-endian; a text is its length and its bytes.
 *
 *   "weftckpt"
 *   version             1
 *   CRC32C and length of all behind them
 *   saving              the same in all files of one save
 *   seed, steps
 *   rank, size          of the group that saved it
 *   method              text
 *   tensors             how many; name and elements of each
 *   vectors             how many; each: name, bytes of an element (4, 8), elements. Of what every
 *                       peer has for itself, its mean over the peers too: "mean:" before its name
 */
#ifndef WEFT_OPTIM_CHECKPOINT_H
#define WEFT_OPTIM_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WEFT_CHECKPOINT_VERSION = 1, WEFT_CHECKPOINT_HEAD = 32, WEFT_CHECKPOINT_PATH = 4096 };
/* Behind the path: the file that was there before. */
#define WEFT_CHECKPOINT_BEFORE ".before"

/* A buffer that grows, or one that is read. */
typedef struct weft_checkpoint {
    uint8_t *data;
    size_t length, room, at;
    bool failed; /* no memory; or read past the end */
} weft_checkpoint;

void weft_checkpoint_put(weft_checkpoint *c, const void *data, size_t length);
void weft_checkpoint_put_number(weft_checkpoint *c, uint64_t value);
void weft_checkpoint_put_text(weft_checkpoint *c, const char *text);

/* Elements of so many bytes, 4 or 8, in the order of bytes of this machine and of files. */
void weft_checkpoint_order(uint8_t *elements, size_t bytes, size_t count);

uint64_t weft_checkpoint_number(weft_checkpoint *c);
/* A text of at most cap - 1 bytes. */
void weft_checkpoint_text(weft_checkpoint *c, char *out, size_t cap);
/* Skip so many bytes, and say where they are. NULL: there are not as many. */
const uint8_t *weft_checkpoint_take(weft_checkpoint *c, size_t length);

/* The name of the file before. 0, or WEFT_EIO: it is too long. */
int weft_checkpoint_before(const char *path, char before[WEFT_CHECKPOINT_PATH]);
/* Write head and body to a new file beside path, synced. 0, WEFT_EIO with path and reason, or
 * WEFT_ENOMEM. The name is the caller's to free. */
int weft_checkpoint_write(const weft_checkpoint *body, const char *path, char **ret_fresh);
/* It takes the place of path, whose file goes to path.before. 0, or WEFT_EIO. */
int weft_checkpoint_place(const char *fresh, const char *path);
/* path.before, which is gone on from, takes the place of path. 0, or WEFT_EIO. */
int weft_checkpoint_restore(const char *path);
/* Read a whole file, and check its head: `at` then is behind it. 0; WEFT_EIO; WEFT_EINVAL what is
 * wrong with it; WEFT_ENOMEM. */
int weft_checkpoint_read(weft_checkpoint *ret, const char *path);
void weft_checkpoint_free(weft_checkpoint *c);

#endif
