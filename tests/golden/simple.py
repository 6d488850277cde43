# SPDX-License-Identifier: Apache-2.0
"""The simple codecs (f16, bf16, natural, sign, onebit, minmax8, hadamard) and votes once more, from
their descriptions alone, in exact or double arithmetic: prints simple.def, which a unit test holds the
C code against.

simple.py > simple.def
"""
import math
import struct
from fractions import Fraction


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def bits32(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def draw_words(draw, block):
    counter = (block & 0xFFFFFFFF, draw["draw"] & 0xFFFFFFFF,
               ((draw["draw"] >> 32) + (draw["tensor"] << 16)) & 0xFFFFFFFF, draw["member"])
    return philox(counter, (draw["seed"] & 0xFFFFFFFF, draw["seed"] >> 32))


def u16(draw, index):
    return draw_words(draw, index // 8)[index % 8 // 2] >> (16 * (index % 2)) & 0xFFFF


def fold(terms):
    """16 partial sums in double, element i in sum i mod 16."""
    part = [0.0] * 16
    for i, t in enumerate(terms):
        part[i % 16] += t
    total = part[0]
    for p in part[1:]:
        total += p
    return total


def packed(flags):
    out = bytearray((len(flags) + 7) // 8)
    for i, flag in enumerate(flags):
        out[i // 8] |= flag << (i % 8)
    return bytes(out)


def touched(lane, off, count, bucket):
    size = bucket or max(len(lane), 1)
    if not count:
        return []
    return [lane[b * size:(b + 1) * size] for b in range(off // size, (off + count - 1) // size + 1)]


def below(lane, off, count):
    return packed([int(v < 0) for v in lane[off:off + count]])


def to_half(value, fraction, least, top):
    """Nearest of a format with so many bits of fraction and exponents least ... top, exactly."""
    exact = abs(Fraction(value))
    exponent = least
    while exponent < top and exact >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - fraction)
    n = round(exact / unit)  # to even
    # n units: the exponent field and the fraction together are one number.
    magnitude = n + ((exponent - least) << fraction)
    return magnitude | (math.copysign(1, value) < 0) << 15


def f16(lane, off, count, draw, par):
    return b"".join(struct.pack("<H", to_half(v, 10, -14, 15)) for v in lane[off:off + count])


def bf16(lane, off, count, draw, par):
    return b"".join(struct.pack("<H", to_half(v, 7, -126, 127)) for v in lane[off:off + count])


def natural(lane, off, count, draw, par):
    exponents, signs = [], []
    for i in range(off, off + count):
        v = abs(Fraction(lane[i]))
        a = -127
        while v >= Fraction(2) ** (a + 1):
            a += 1
        floor = Fraction(2) ** a if a > -127 else Fraction(0)
        gap = Fraction(2) ** max(a, -126)
        up = round((v - floor) / gap * 65536) + u16(draw, draw["first"] + i) >= 65536
        exponents.append(a + 127 + up)
        signs.append(int(lane[i] < 0 and exponents[-1] > 0))
    return bytes(exponents) + packed(signs)


def sign(lane, off, count, draw, par):
    out = b""
    if par["scaled"] == "yes":
        for b in touched(lane, off, count, par["bucket"]):
            out += struct.pack("<f", fold([abs(v) for v in b]) / len(b))
    return out + below(lane, off, count)


def onebit(lane, off, count, draw, par):
    out = b""
    for b in touched(lane, off, count, par["bucket"]):
        for flag in (False, True):
            number = sum((v < 0) == flag for v in b)
            total = fold([v if (v < 0) == flag else 0.0 for v in b])
            out += struct.pack("<f", (total / number if number else 0.0) + 0.0)
    return out + below(lane, off, count)


def minmax8(lane, off, count, draw, par):
    out, levels = b"", b""
    size = par["bucket"] or max(len(lane), 1)
    for b in touched(lane, off, count, par["bucket"]):
        out += struct.pack("<ff", min(b) + 0.0, max(b) + 0.0)
    for i in range(off, off + count):
        b = lane[i // size * size:(i // size + 1) * size]
        width = f32(max(b) - min(b))
        ratio = f32(255 / width) if width else 0.0
        levels += bytes([min(round(f32(f32(lane[i] - min(b)) * ratio)), 255)])
    return out + levels


def lane_of(kind, count):
    """Values that are exact in binary32; the test makes the same."""
    if kind == "steps":
        return [((i * 37) % 64 - 32) / 8 for i in range(count)]
    if kind == "sparse":
        return [(i - 10.0) if i % 11 == 3 else 0.0 for i in range(count)]
    if kind == "wild":  # 24 bits of fraction, magnitudes 2^-20 to 2^13
        return [((i * 2654435761) % 2**24 - 2**23) * 2.0 ** (i * 7 % 34 - 43) for i in range(count)]
    return [0.0] * count


CASES = [  # codec, parameters, kind, lane, off, count, seed, member, tensor, draw, first
    (f16, {}, "wild", 40, 0, 40, 1, 0, 0, 1, 0),
    (f16, {}, "steps", 20, 8, 9, 1, 0, 0, 1, 0),
    (f16, {}, "zeros", 0, 0, 0, 1, 0, 0, 1, 0),
    (bf16, {}, "wild", 40, 0, 40, 1, 0, 0, 1, 0),
    (bf16, {}, "sparse", 33, 3, 30, 1, 0, 0, 1, 0),
    (natural, {}, "wild", 40, 0, 40, 0x123456789ABCDEF0, 7, 65535, 0xFEDCBA987654, 64),
    (natural, {}, "sparse", 50, 8, 37, 2, 3, 4, 5, 6),
    (natural, {}, "zeros", 9, 0, 9, 2, 3, 4, 5, 6),
    (sign, {"scaled": "yes", "bucket": 512}, "wild", 40, 0, 40, 1, 0, 0, 1, 0),
    (sign, {"scaled": "yes", "bucket": 7}, "wild", 40, 8, 29, 1, 0, 0, 1, 0),
    (sign, {"scaled": "yes", "bucket": 0}, "steps", 61, 16, 16, 1, 0, 0, 1, 0),
    (sign, {"scaled": "no", "bucket": 512}, "steps", 61, 0, 61, 1, 0, 0, 1, 0),
    (sign, {"scaled": "no", "bucket": 512}, "zeros", 9, 0, 9, 1, 0, 0, 1, 0),
    (onebit, {"bucket": 512}, "wild", 50, 0, 50, 1, 0, 0, 1, 0),
    (onebit, {"bucket": 9}, "steps", 50, 16, 33, 1, 0, 0, 1, 0),
    (onebit, {"bucket": 16}, "zeros", 20, 0, 20, 1, 0, 0, 1, 0),
    (minmax8, {"bucket": 512}, "wild", 50, 0, 50, 1, 0, 0, 1, 0),
    (minmax8, {"bucket": 9}, "steps", 50, 16, 33, 1, 0, 0, 1, 0),
    (minmax8, {"bucket": 8}, "sparse", 50, 16, 33, 1, 0, 0, 1, 0),
    (minmax8, {"bucket": 0}, "zeros", 20, 0, 20, 1, 0, 0, 1, 0),
]

print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Printed by simple.py. ENCODING(kind, lane, off, count, spec, seed, member, tensor, draw,")
print(" * first, hex). Wire version 1. */")
print("// clang-format off")
for codec, par, kind, size, off, count, seed, member, tensor, draw, first in CASES:
    key = dict(seed=seed, member=member, tensor=tensor, draw=draw, first=first)
    data = codec(lane_of(kind, size), off, count, key, par)
    spec = codec.__name__ + (":" + ",".join(f"{k}={v}" for k, v in par.items()) if par else "")
    print(f'ENCODING({kind}, {size}, {off}, {count}, "{spec}", {seed}u, {member}, {tensor}, {draw}u, {first},')
    text = data.hex()
    for i in range(0, max(len(text), 1), 80):
        end = ")" if i + 80 >= len(text) else ""
        print(f'         "{text[i:i + 80]}"{end}')
print("// clang-format on")
