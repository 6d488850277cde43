# SPDX-License-Identifier: Apache-2.0
"""The sparse codecs once more, from their description alone: prints sparse_encodings.def, which a unit
test holds the C code against.

sparse_encodings.py > sparse_encodings.def
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


def u16(draw, member, index):
    counter = ((index // 8) & 0xFFFFFFFF, draw["draw"] & 0xFFFFFFFF,
               ((draw["draw"] >> 32) + (draw["tensor"] << 16)) & 0xFFFFFFFF, member)
    words = philox(counter, (draw["seed"] & 0xFFFFFFFF, draw["seed"] >> 32))
    return words[index % 8 // 2] >> (16 * (index % 2)) & 0xFFFF


def share(density, count):
    k = math.ceil(density * count * (1 - 2.0 ** -51))
    return min(max(k, 1), count) if count else 0


def largest(v, most, least):
    order = sorted((i for i in range(len(v)) if v[i] != 0 and abs(v[i]) >= least),
                   key=lambda i: (-abs(v[i]), i))
    return sorted(order[:most])


def packed(numbers, width):
    bits = sum(x << (width * i) for i, x in enumerate(numbers))
    return bits.to_bytes((len(numbers) * width + 7) // 8, "little")


def rice(index, b):
    gaps = [i - j - 1 for i, j in zip(index, [-1] + index[:-1])]
    low = packed([g % 2 ** b for g in gaps], b)
    unary = "".join("0" * (g >> b) + "1" for g in gaps)
    high = int(unary[::-1], 2).to_bytes((len(unary) + 7) // 8, "little")
    return low + high


def pairs(index, value, draw, values, form):
    """The message for these pairs."""
    if values == "f16":
        sent = [(i, struct.pack("<e", v)) for i, v in zip(index, value)]
        sent = [(i, h) for i, h in sent if struct.unpack("<e", h)[0] != 0]
        body = b"".join(h for _, h in sent)
    elif values == "f32":
        sent = list(zip(index, value))
        body = b"".join(struct.pack("<f", v) for v in value)
    else:
        s, width = (7, 4) if values == "qsgd4" else (127, 8)
        norm = max((abs(v) for v in value), default=0.0)
        sent = []
        for place, (i, v) in enumerate(zip(index, value)):
            t = round(f32(abs(v) * f32(s / norm)) * 65536)
            level = min((t + u16(draw, draw["member"], place)) >> 16, s)
            if level:
                sent.append((i, s + (-level if v < 0 else level)))
        body = struct.pack("<f", norm) + packed([x for _, x in sent], width) if sent else b""
    index = [i for i, _ in sent]
    plain = bytes([1]) + struct.pack("<I", len(index)) + b"".join(struct.pack("<I", i) for i in index)
    best = plain
    if form == "rice" and index:
        b = min(range(32), key=lambda b: (len(rice(index, b)), b))
        coded = bytes([2]) + struct.pack("<IB", len(index), b) + rice(index, b)
        best = coded if len(coded) < len(plain) else plain
    return best + body


def select(v, draw, spec):
    name, keys = spec.split(":")
    key = dict(item.split("=") for item in keys.split(","))
    most = share(float(key.get("density", 0.01)), len(v)) if name == "topk" else share(
        float(key.get("most", 0.1)), len(v))
    if "k" in key:
        most = min(int(key["k"]), len(v))
    index = largest(v, most, f32(float(key.get("at", 0))))
    return pairs(index, [v[i] for i in index], draw, key.get("values", "f32"), key.get("index", "rice"))


def randk(v, off, draw, density):
    g = round(1 / density)
    number = (draw["first"] + off) // g
    head = bytes([1]) + struct.pack("<QQQ", draw["seed"], draw["draw"] + (draw["tensor"] << 48), number)
    body = b""
    for i in range(0, len(v), g):
        group = v[i:i + g]
        n = 2 * (number + i // g)
        r = u16(draw, 2 ** 32 - 2, n) + (u16(draw, 2 ** 32 - 2, n + 1) << 16)
        body += struct.pack("<f", f32(group[r * len(group) >> 32] * len(group)))
    return head + body


def lane_of(kind, count):
    """Values that are exact in binary32; the test makes the same."""
    if kind == "steps":
        return [((i * 37) % 64 - 32) / 8 for i in range(count)]
    if kind == "sparse":
        return [(i - 10.0) if i % 11 == 3 else 0.0 for i in range(count)]
    if kind == "wide":  # from 2^-30 to 2^30
        return [(-1) ** i * (1 + i % 3 / 4) * 2.0 ** ((i * 29) % 61 - 30) for i in range(count)]
    return [0.0] * count


CASES = [  # kind, lane, off, count, spec, seed, member, tensor, draw, first
    ("steps", 100, 0, 100, "topk:k=7", 1, 0, 0, 1, 0),
    ("steps", 100, 0, 100, "topk:density=0.07,index=plain", 1, 0, 0, 1, 0),
    ("steps", 300, 0, 300, "topk:density=1", 1, 0, 0, 1, 0),
    ("steps", 40, 0, 40, "topk:k=1", 1, 0, 0, 1, 0),
    ("sparse", 300, 0, 300, "topk:k=200", 1, 0, 0, 1, 0),
    ("sparse", 300, 0, 300, "topk:k=20,values=f16", 1, 0, 0, 1, 0),
    ("wide", 50, 0, 50, "topk:k=33,values=qsgd8", 9, 3, 7, 12345678901234, 0),
    ("wide", 50, 0, 50, "topk:k=50,values=qsgd8", 9, 3, 7, 12345678901234, 0),
    ("steps", 90, 0, 90, "topk:density=0.3,values=qsgd4", 0x123456789ABCDEF0, 2, 65535, 5, 0),
    ("steps", 90, 0, 90, "topk:density=0.21,values=qsgd4,index=plain", 6, 4, 1, 5, 0),
    ("zeros", 64, 0, 64, "topk:k=3", 1, 0, 0, 1, 0),
    ("zeros", 64, 0, 64, "topk:k=3,values=qsgd4", 1, 0, 0, 1, 0),
    ("zeros", 0, 0, 0, "topk:density=0.5", 1, 0, 0, 1, 0),
    ("steps", 200, 0, 200, "threshold:at=3.875", 1, 0, 0, 1, 0),
    ("steps", 200, 0, 200, "threshold:at=3,most=0.02", 1, 0, 0, 1, 0),
    ("wide", 120, 0, 120, "threshold:at=0.3,most=0.5,values=f32", 1, 0, 0, 1, 0),
    ("steps", 100, 0, 100, "threshold:at=1000,values=f16", 1, 0, 0, 1, 0),
    ("steps", 100, 0, 100, "randk:density=0.1", 1, 5, 2, 3, 0),
    ("steps", 95, 30, 65, "randk:density=0.1", 0xFEDCBA9876543210, 5, 65535, 0xFEDCBA987654, 1000),
    ("steps", 9, 0, 9, "randk:density=1", 4, 0, 0, 8, 0),
    ("steps", 9, 0, 9, "randk:density=0.01", 4, 0, 0, 8, 0),
    ("zeros", 0, 0, 0, "randk:density=0.01", 4, 0, 0, 8, 0),
]

print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Printed by sparse_encodings.py. ENCODING(kind, lane, off, count, spec, seed, member, tensor,")
print(" * draw, first, hex). Wire version 1. */")
print("// clang-format off")
for kind, size, off, count, spec, seed, member, tensor, draw, first in CASES:
    key = dict(seed=seed, member=member, tensor=tensor, draw=draw, first=first)
    lane = lane_of(kind, size)[off:off + count]
    if spec.startswith("randk"):
        text = randk(lane, off, key, float(spec.split("=")[1])).hex()
    else:
        text = select(lane, key, spec).hex()
    print(f'ENCODING({kind}, {size}, {off}, {count}, "{spec}", {seed}u, {member}, {tensor}, {draw}u, {first},')
    for i in range(0, max(len(text), 1), 80):
        end = ")" if i + 80 >= len(text) else ""
        print(f'         "{text[i:i + 80]}"{end}')
print("// clang-format on")
