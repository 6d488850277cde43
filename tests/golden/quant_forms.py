# SPDX-License-Identifier: Apache-2.0
"""The forms of the quantizing codecs that encodings.py does not have: Elias codes, short scales,
rounding to the nearest, clipping, and sums of a shared scale. Prints quant_forms.def.

quant_forms.py > quant_forms.def
"""
import contextlib
import io
import math
import pathlib
import runpy
import struct

with contextlib.redirect_stdout(io.StringIO()):
    base = runpy.run_path(str(pathlib.Path(__file__).with_name("encodings.py")))
f32, u16, norm_of, lane_of, partial_sums = (base[n] for n in
                                            ("f32", "u16", "norm_of", "lane_of", "partial_sums"))


def bits_of(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def float_of(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def rounded_up(norm, scale):
    if scale == "bf16":
        low = next(k for k in range(0x10000) if (bits_of(norm) + k) % 0x10000 == 0)
        return float_of(bits_of(norm) + low)
    if scale == "pow2":
        return 0.0 if norm == 0 else 2.0 ** math.ceil(math.log2(norm))
    return norm


def scale_bytes(norm, scale):
    if scale == "bf16":
        return struct.pack("<H", bits_of(norm) >> 16)
    if scale == "pow2":
        return bytes([bits_of(norm) >> 23])
    return struct.pack("<f", norm)


def clip_at(block, clip):
    mean = partial_sums(block) / len(block)
    sigma = math.sqrt(partial_sums([(v - mean) * (v - mean) for v in block]) / len(block))
    return f32(clip * sigma) if sigma > 0 else math.inf


def omega(n):
    code = "0"
    while n > 1:
        digits = bin(n)[2:]
        code = digits + code
        n = len(digits) - 1
    return code


def elias_dense(levels):
    return "".join(omega(abs(q) + 1) + ("" if q == 0 else "1" if q < 0 else "0") for q in levels)


def elias_sparse(levels):
    code, last = omega(sum(q != 0 for q in levels) + 1), -1
    for i, q in enumerate(levels):
        if q:
            code += omega(i - last) + ("1" if q < 0 else "0") + omega(abs(q))
            last = i
    return code


def bytes_of(code):
    code += "0" * (-len(code) % 8)
    return bytes(int(code[i:i + 8], 2) for i in range(0, len(code), 8))


def packed(numbers, most):
    if most == 2:
        return 2, bytes(sum(t * 3 ** k for k, t in enumerate(numbers[i:i + 5]))
                        for i in range(0, len(numbers), 5))
    width = most.bit_length()
    bits = sum(t << (width * k) for k, t in enumerate(numbers))
    return 1, bits.to_bytes((len(numbers) * width + 7) // 8, "little")


def level(v, norm, limit, s, random):
    ratio = f32(s / norm) if norm else 0.0
    t = round(f32(min(abs(v), limit) * ratio) * 65536)
    q = min((t + random) >> 16, s)
    return -q if v < 0 else q


def quantized(lane, off, count, draw, s, bucket, norm, scale, clip, nearest, agreed=None):
    """Scales of the blocks touched, and levels of the span."""
    size = bucket or max(len(lane), 1)
    scales, limits = {}, {}
    for b in range(off // size, (off + count - 1) // size + 1) if count else []:
        block = lane[b * size:(b + 1) * size]
        limits[b] = clip_at(block, clip) if clip else math.inf
        n = rounded_up(min(norm_of(block, norm), limits[b]), scale)
        scales[b] = agreed[b] if agreed else n if f32(n / s) >= 2.0 ** -126 else 0.0
    levels = []
    for i in range(off, off + count):
        random = 0x8000 if nearest else u16(draw, draw["first"] + i)
        levels.append(level(lane[i], scales[i // size], limits[i // size], s, random))
    return scales, levels


def encoded(lane, off, count, draw, s, bucket, norm, scale, code, clip, nearest):
    scales, levels = quantized(lane, off, count, draw, s, bucket, norm, scale, clip, nearest)
    forms = [packed([q + s for q in levels], 2 * s)] if code != "elias" else []
    if code != "packed":
        forms += [(3, bytes_of(elias_dense(levels))), (4, bytes_of(elias_sparse(levels)))]
    form, body = min(forms, key=lambda f: len(f[1]))  # the first of the shortest
    return bytes([form]) + b"".join(scale_bytes(n, scale) for n in scales.values()) + body


def shared(lane, draws, s, bucket, clip, agreed):
    """The sum of one encoding a draw, all of the same lane, and its decoded values."""
    sums = [0] * len(lane)
    for draw in draws:
        _, levels = quantized(lane, 0, len(lane), draw, s, bucket, "max", "f32", clip, False, agreed)
        sums = [a + q for a, q in zip(sums, levels)]
    t = len(draws)
    return struct.pack("<H", t) + packed([q + s * t for q in sums], 2 * s * t)[1]


CASES = [  # kind, lane, off, count, spec, (s, bucket, norm, scale, code, clip, nearest)
    ("steps", 60, 0, 60, "qsgd:levels=7,bucket=16,code=elias", (7, 16, "max", "f32", "elias", 0, 0)),
    ("steps", 60, 16, 30, "qsgd:levels=20,bucket=16,code=elias", (20, 16, "max", "f32", "elias", 0, 0)),
    ("sparse", 60, 0, 60, "qsgd:levels=3,bucket=0,code=elias", (3, 0, "max", "f32", "elias", 0, 0)),
    ("sparse", 60, 0, 60, "qsgd:levels=32767,bucket=0,code=elias",
     (32767, 0, "max", "f32", "elias", 0, 0)),
    ("sparse", 60, 5, 40, "qsgd:levels=1,bucket=0,norm=2,code=auto", (1, 0, "2", "f32", "auto", 0, 0)),
    ("steps", 60, 0, 60, "qsgd:levels=127,bucket=20,code=auto", (127, 20, "max", "f32", "auto", 0, 0)),
    ("steps", 60, 0, 60, "qsgd:levels=8,bucket=0,norm=2,code=auto", (8, 0, "2", "f32", "auto", 0, 0)),
    ("zeros", 30, 0, 30, "qsgd:levels=7,bucket=8,code=elias", (7, 8, "max", "f32", "elias", 0, 0)),
    ("zeros", 30, 0, 30, "qsgd:levels=7,bucket=8,code=auto", (7, 8, "max", "f32", "auto", 0, 0)),
    ("zeros", 0, 0, 0, "qsgd:code=elias", (7, 512, "max", "f32", "elias", 0, 0)),
    ("steps", 40, 0, 40, "qsgd:levels=7,bucket=16,norm=2,scale=bf16", (7, 16, "2", "bf16", "packed", 0, 0)),
    ("steps", 40, 8, 32, "qsgd:levels=7,bucket=16,norm=1,scale=pow2", (7, 16, "1", "pow2", "packed", 0, 0)),
    ("steps", 40, 0, 40, "qsgd:levels=1,bucket=8,scale=pow2", (1, 8, "max", "pow2", "packed", 0, 0)),
    ("zeros", 20, 0, 20, "qsgd:levels=7,bucket=8,scale=pow2", (7, 8, "max", "pow2", "packed", 0, 0)),
    ("sparse", 50, 0, 50, "qsgd:levels=5,bucket=25,scale=bf16,code=elias",
     (5, 25, "max", "bf16", "elias", 0, 0)),
    ("steps", 40, 0, 40, "qsgd:levels=7,bucket=16,round=nearest", (7, 16, "max", "f32", "packed", 0, 1)),
    ("steps", 40, 0, 40, "qsgd:levels=1,bucket=16,round=nearest", (1, 16, "max", "f32", "packed", 0, 1)),
    ("steps", 40, 0, 40, "tern", (1, 0, "max", "f32", "packed", 2.5, 0)),
    ("steps", 40, 0, 40, "tern:clip=1,bucket=16", (1, 16, "max", "f32", "packed", 1, 0)),
    ("sparse", 60, 0, 60, "tern:bucket=30", (1, 30, "max", "f32", "packed", 2.5, 0)),
    ("steps", 40, 0, 40, "tern:clip=0,bucket=16", (1, 16, "max", "f32", "packed", 0, 0)),
    ("steps", 1, 0, 1, "tern", (1, 0, "max", "f32", "packed", 2.5, 0)),
    ("zeros", 7, 0, 7, "tern", (1, 0, "max", "f32", "packed", 2.5, 0)),
]

SHARED = [  # kind, lane, spec, (s, bucket, clip), addends, agreed scales
    ("steps", 40, "qsgd:levels=7,bucket=16", (7, 16, 0), 1, [4.0, 5.0, 4.125]),
    ("steps", 40, "qsgd:levels=7,bucket=16", (7, 16, 0), 3, [4.0, 5.0, 4.125]),
    ("steps", 40, "qsgd:levels=127,bucket=0", (127, 0, 0), 2, [6.5]),
    ("steps", 40, "qsgd:levels=1000,bucket=0", (1000, 0, 0), 5, [4.0]),
    ("steps", 40, "tern:clip=0,bucket=16", (1, 16, 0), 1, [4.0, 4.5, 4.0]),
    ("steps", 40, "tern:clip=1,bucket=16", (1, 16, 1), 4, [4.0, 4.5, 4.0]),
    ("zeros", 11, "qsgd:levels=7,bucket=4", (7, 4, 0), 2, [0.0, 1.0, 0.0]),
]

DRAW = dict(seed=0x1234, member=3, tensor=2, draw=99, first=0)


def quoted(data):
    text = data.hex()
    return [f'"{text[i:i + 80]}"' for i in range(0, max(len(text), 1), 80)]


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Printed by quant_forms.py. FORM(kind, lane, off, count, spec, hex): seed 0x1234, member 3,")
print(" * tensor 2, draw 99. SHARED(kind, lane, spec, addends, scales, hex): members 0 and up. */")
print("// clang-format off")
print("#ifdef FORM")
for kind, size, off, count, spec, how in CASES:
    print(f'FORM({kind}, {size}, {off}, {count}, "{spec}",')
    print("     " + "\n     ".join(quoted(encoded(lane_of(kind, size), off, count, DRAW, *how))) + ")")
print("#endif")
print("#ifdef SHARED")
for kind, size, spec, (s, bucket, clip), addends, agreed in SHARED:
    draws = [dict(DRAW, member=m) for m in range(addends)]
    data = shared(lane_of(kind, size), draws, s, bucket, clip, agreed)
    scales = ", ".join(f"{n}f" for n in agreed)
    print(f'SHARED({kind}, {size}, "{spec}", {addends}, ({{{scales}}}),')
    print("       " + "\n       ".join(quoted(data)) + ")")
print("#endif")
print("// clang-format on")
