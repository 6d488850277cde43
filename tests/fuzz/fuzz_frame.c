/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a frame: no input may read past its end, and what is taken must be what would be written.
 * Each input is tried as it is, then with its header checksum put right, then with its length too,
 * so that the checks behind those are reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/status.h>

#include "base/hash.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *frame, size_t len)
{
    weft_frame f = {0};
    const int rc = weft_frame_get(frame, len, &f);
    if (rc != WEFT_OK) {
        if (rc != WEFT_EPROTO && rc != WEFT_EVERSION)
            abort();
        return;
    }
    uint8_t again[WEFT_FRAME_HEADER];
    weft_frame_put(&f, again);
    again[5] = f.minor; /* one writes its own minor version; the sum covers it */
    const uint32_t sum = weft_crc32c(0, again, 60);
    for (int i = 0; i < 4; i++)
        again[60 + i] = (uint8_t)(sum >> 8 * i);
    if (memcmp(again, frame, sizeof(again)) != 0 || f.body_bytes + sizeof(again) != len ||
        f.body_bytes > WEFT_FRAME_BODY_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    if (size < WEFT_FRAME_HEADER)
        return 0;
    uint8_t *sealed = malloc(size);
    if (sealed == NULL)
        return 0;
    memcpy(sealed, data, size);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) { /* lengths that agree, too */
            const uint32_t body = (uint32_t)(size - WEFT_FRAME_HEADER);
            for (int i = 0; i < 4; i++)
                sealed[52 + i] = (uint8_t)(body >> 8 * i);
        }
        const uint32_t sum = weft_crc32c(0, sealed, 60);
        for (int i = 0; i < 4; i++)
            sealed[60 + i] = (uint8_t)(sum >> 8 * i);
        check(sealed, size);
    }
    free(sealed);
    return 0;
}
