/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums and fingerprints. */
#ifndef WEFT_BASE_HASH_H
#define WEFT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* CRC32C (Castagnoli), continuing from crc (0 to begin). SSE4.2 where the CPU has it, three
 * interleaved streams; a table elsewhere: the same result. */
uint32_t weft_crc32c(uint32_t crc, const void *data, size_t len);

/* The same by table alone: what weft_crc32c() does without SSE4.2, and what tests compare with. */
uint32_t weft_crc32c_table(uint32_t crc, const void *data, size_t len);

/* 64-bit FNV-1a with a final mix: fingerprint of texts and rosters, not against adversaries. */
uint64_t weft_hash64(const void *data, size_t len);

#endif
