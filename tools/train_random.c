/* SPDX-License-Identifier: Apache-2.0 */
#include "train_random.h"

#define TENSOR 0xFFFFu
#define SHUFFLER 0xFFFFFFFFu
#define STARTER 0xFFFFFFFEu
#define EPOCHS 0x80000000u /* plus the rank */

uint64_t weft_train_u64(uint64_t seed, uint32_t member, uint64_t step, uint32_t index)
{
    uint32_t c[4] = {index, (uint32_t)step, ((uint32_t)(step >> 32) & 0xFFFFu) | TENSOR << 16,
                     member};
    uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};

    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c[0];
        const uint64_t b = (uint64_t)0xCD9E8D57u * c[2];
        const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b,
                                  (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};

        for (int i = 0; i < 4; i++)
            c[i] = next[i];
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    return (uint64_t)c[1] << 32 | c[0];
}

/* floor(u * limit / 2^64): off from uniform by at most limit / 2^64. */
static uint64_t below(uint64_t u, uint64_t limit)
{
    const uint64_t low = (u & 0xFFFFFFFFu) * (limit & 0xFFFFFFFFu);
    const uint64_t mid = (u >> 32) * (limit & 0xFFFFFFFFu) + (low >> 32);
    const uint64_t mid2 = (u & 0xFFFFFFFFu) * (limit >> 32) + (mid & 0xFFFFFFFFu);

    return (u >> 32) * (limit >> 32) + (mid >> 32) + (mid2 >> 32);
}

void weft_train_shuffle(uint64_t seed, size_t *rows, size_t count)
{
    for (size_t i = count; i-- > 1;) {
        const uint64_t u = weft_train_u64(seed, SHUFFLER, (uint64_t)i >> 32, (uint32_t)i);
        const size_t j = (size_t)below(u, (uint64_t)i + 1);
        const size_t kept = rows[i];

        rows[i] = rows[j];
        rows[j] = kept;
    }
}

void weft_train_minibatch(uint64_t seed, int rank, uint64_t step, size_t rows, size_t batch,
                          size_t *ret_rows)
{
    for (size_t k = 0; k < batch; k++)
        ret_rows[k] = (size_t)below(weft_train_u64(seed, (uint32_t)rank, step, (uint32_t)k), rows);
}

void weft_train_epoch(uint64_t seed, int rank, uint64_t epoch, size_t *ret_rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ret_rows[i] = i;
    for (size_t i = count; i-- > 1;) {
        const uint64_t u = weft_train_u64(seed, EPOCHS + (uint32_t)rank, epoch, (uint32_t)i);
        const size_t j = (size_t)below(u, (uint64_t)i + 1);
        const size_t kept = ret_rows[i];

        ret_rows[i] = ret_rows[j];
        ret_rows[j] = kept;
    }
}

float weft_train_start(uint64_t seed, uint32_t tensor, uint32_t index)
{
    const uint64_t u = weft_train_u64(seed, STARTER, tensor, index);

    return (float)(int32_t)(u >> 40) * 0x1p-23f - 1.0f;
}
