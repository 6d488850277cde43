# SPDX-License-Identifier: Apache-2.0
"""The codecs once more, from their description alone: prints encodings.def, which a unit test holds
the C code against. Python's floats are binary64; f32() rounds to binary32, and one operation on
binary32 values done in binary64 and then rounded is the correctly rounded binary32 operation.

encodings.py > encodings.def
"""
import math
import struct


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def u16(draw, index):
    counter = ((index // 8) & 0xFFFFFFFF, draw["draw"] & 0xFFFFFFFF,
               ((draw["draw"] >> 32) + (draw["tensor"] << 16)) & 0xFFFFFFFF, draw["member"])
    words = philox(counter, (draw["seed"] & 0xFFFFFFFF, draw["seed"] >> 32))
    return words[index % 8 // 2] >> (16 * (index % 2)) & 0xFFFF


def partial_sums(terms):
    part = [0.0] * 16
    for i, t in enumerate(terms):
        part[i % 16] += t
    total = part[0]
    for p in part[1:]:
        total += p
    return total


def norm_of(block, norm):
    if norm == "max":
        return max(abs(v) for v in block)
    if norm == "1":
        return f32(partial_sums([abs(v) for v in block]))
    return f32(math.sqrt(partial_sums([v * v for v in block])))


def qsgd(lane, off, count, draw, levels, bucket, norm):
    size = bucket or max(len(lane), 1)
    touched = range(off // size, (off + count - 1) // size + 1) if count else []
    scales = {}
    for b in touched:
        n = norm_of(lane[b * size:(b + 1) * size], norm)
        scales[b] = n if f32(n / levels) >= 2.0 ** -126 else 0.0
    numbers = []
    for i in range(off, off + count):
        n, v = scales[i // size], lane[i]
        ratio = f32(levels / n) if n else 0.0
        t = round(f32(abs(v) * ratio) * 65536)  # to even, like rint
        level = min((t + u16(draw, draw["first"] + i)) >> 16, levels)
        numbers.append(levels + (-level if v < 0 else level))
    if levels == 1:
        form, packed = 2, bytearray()
        for i in range(0, count, 5):
            packed.append(sum(t * 3 ** k for k, t in enumerate(numbers[i:i + 5])))
    else:
        form, width = 1, (2 * levels).bit_length()
        bits = sum(t << (width * k) for k, t in enumerate(numbers))
        packed = bits.to_bytes((count * width + 7) // 8, "little")
    return bytes([form]) + b"".join(struct.pack("<f", scales[b]) for b in touched) + bytes(packed)


def lane_of(kind, count):
    """Values that are exact in binary32; the test makes the same."""
    if kind == "steps":
        return [((i * 37) % 64 - 32) / 8 for i in range(count)]
    if kind == "sparse":
        return [(i - 10.0) if i % 11 == 3 else 0.0 for i in range(count)]
    return [0.0] * count


CASES = [  # kind, lane, off, count, levels, bucket, norm, seed, member, tensor, draw, first
    ("steps", 20, 0, 20, 7, 512, "max", 1, 0, 0, 1, 0),
    ("steps", 20, 0, 20, 1, 16, "max", 1, 0, 0, 1, 0),
    ("steps", 33, 0, 33, 1, 8, "2", 0x123456789ABCDEF0, 7, 65535, 0xFEDCBA987654, 64),
    ("steps", 33, 11, 13, 3, 8, "2", 2, 3, 4, 5, 6),
    ("steps", 40, 8, 24, 127, 16, "1", 9, 1, 0, 3, 1000),
    ("sparse", 50, 0, 50, 15, 25, "max", 5, 2, 1, 7, 800),
    ("sparse", 50, 24, 26, 1, 25, "1", 5, 2, 1, 7, 800),
    ("steps", 19, 0, 19, 32767, 0, "2", 3, 0, 0, 2, 0),
    ("steps", 11, 0, 11, 1000, 4, "max", 3, 0, 0, 2, 0),
    ("zeros", 9, 0, 9, 7, 4, "max", 1, 0, 0, 1, 0),
    ("zeros", 0, 0, 0, 7, 512, "max", 1, 0, 0, 1, 0),
    ("steps", 1, 0, 1, 1, 512, "max", 1, 0, 0, 1, 0),
]

print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Printed by encodings.py. ENCODING(kind, lane, off, count, spec, seed, member, tensor, draw,")
print(" * first, hex). Wire version 1. */")
print("// clang-format off")
for kind, size, off, count, levels, bucket, norm, seed, member, tensor, draw, first in CASES:
    key = dict(seed=seed, member=member, tensor=tensor, draw=draw, first=first)
    data = qsgd(lane_of(kind, size), off, count, key, levels, bucket, norm)
    spec = f"qsgd:levels={levels},bucket={bucket},norm={norm}"
    print(f'ENCODING({kind}, {size}, {off}, {count}, "{spec}", {seed}u, {member}, {tensor}, {draw}u, {first},')
    text = data.hex()
    for i in range(0, max(len(text), 1), 80):
        end = ")" if i + 80 >= len(text) else ""
        print(f'         "{text[i:i + 80]}"{end}')
print("// clang-format on")
