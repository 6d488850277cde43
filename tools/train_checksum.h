/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32C (Castagnoli, polynomial 0x1EDC6F41 reflected), as `x_crc32c` of a training run. */
#ifndef WEFT_TOOLS_TRAIN_CHECKSUM_H
#define WEFT_TOOLS_TRAIN_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Of len bytes; the digits "123456789" give 0xE3069283. */
uint32_t weft_train_crc32c(const void *data, size_t len);

#endif
