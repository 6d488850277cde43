/* SPDX-License-Identifier: Apache-2.0 */
#include "train_checksum.h"

uint32_t weft_train_crc32c(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint32_t table[256];
    uint32_t crc = 0xFFFFFFFFu;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int bit = 0; bit < 8; bit++)
            c = (c & 1) != 0 ? c >> 1 ^ 0x82F63B78u : c >> 1;
        table[i] = c;
    }
    for (size_t i = 0; i < len; i++)
        crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xFF];
    return ~crc;
}
