# SPDX-License-Identifier: Apache-2.0
"""Seeds of fuzz_codec, of every row of the table and of the vote: floats to encode and damage, and
the golden encodings. The head is that of fuzz_codec.c.

codec_seeds.py WEFT FOLDER    WEFT is the program
"""
import json
import pathlib
import re
import struct
import subprocess
import sys

weft, folder = sys.argv[1], pathlib.Path(sys.argv[2])
root = pathlib.Path(__file__).parents[2]
codecs = json.loads(subprocess.run([weft, "info", "codecs", "--json", "-"], check=True, capture_output=True).stdout)["codecs"]
rows = {c["name"]: (i + 1, c["params"]) for i, c in enumerate(codecs)}
LANE_MOST = 600
written = 0


def code_of(param, value):
    """The two bytes that stand for a value."""
    if value == "auto":
        return 0xFFFF
    if "choices" in param:
        return param["choices"].split("|").index(value)
    if "min" not in param or float(param["max"]) - float(param["min"]) < 2:
        return 0x7FFF
    x = float(value) - param["min"]
    for power in range(32):
        if x == 2.0 ** power and x >= 0x8000:
            return 0x8000 + power
    return max(0, min(int(x), 0x7FFF))


def head(what, row, codes, lane, off, count):
    codes = (list(codes) + [0] * 8)[:8]
    return struct.pack("<BB8H3H", what, row, *codes, lane, off, count)


def save(name, data):
    global written
    (folder / re.sub(r"\W+", "_", name).strip("_")).write_bytes(data)
    written += 1


def codes_of(params, given):
    return [code_of(p, given.get(p["key"], p["default"])) for p in params]


def floats(count):
    return b"".join(struct.pack("<f", ((i * 37) % 64 - 32) / 8 if i % 7 else 0.0) for i in range(count))


TRIPLES = {"none": b"\0", "damage": b"\2" + struct.pack("<HBHB", 3, 0x7F, 11, 0xFF)}
for name, (row, params) in list(rows.items()) + [("vote", (0, []))]:
    codes = [9, 0] if name == "vote" else codes_of(params, {})
    for count in (0, 1, 37, 300):
        for kind, triples in TRIPLES.items():
            save(f"{name}_{kind}_{count}", head(0x80, row, codes, count, 0, count) + triples + floats(count))
    save(f"{name}_part", head(0x80, row, codes, 300, 64, 136) + b"\0" + floats(300))
    save(f"{name}_nan", head(0x80, row, codes, 4, 0, 4) + b"\0" + floats(3) + struct.pack("<f", float("nan")))
    save(f"{name}_largest", head(0x80, row, codes, 2, 0, 2) + b"\0" + struct.pack("<I", 0x7F7FFFFF) * 2)
    save(f"{name}_subnormal", head(0x80, row, codes, 9, 0, 9) + b"\0" + struct.pack("<I", 0x80000003) * 9)
    save(f"{name}_no_bytes", head(0, row, codes, 8, 0, 8))
    save(f"{name}_zeros", head(0, row, codes, 8, 0, 8) + bytes(20))
for planes, voters in ((1, 1), (2, 3), (3, 5), (3, 7)):
    save(f"vote_of_{voters}", head(0, 0, [9, voters % 4], 40, 0, 40) + struct.pack("<H", voters) + b"\x21" * 5 * planes)

golden = re.compile(r'ENCODING\((\w+), (\d+), (\d+), (\d+), "([^"]*)",[^"]*?((?:\s*"[0-9a-f]*")+)\)')
for path in sorted((root / "tests/golden").glob("*.def")):
    for kind, lane, off, count, spec, text in golden.findall(path.read_text()):
        name, _, rest = spec.partition(":")
        row, params = rows[name]
        given = dict(pair.split("=", 1) for pair in rest.split(",") if pair)
        data = bytes.fromhex("".join(re.findall(r"[0-9a-f]+", text)))
        if int(lane) < LANE_MOST:
            save(f"golden_{spec}_{kind}_{off}_{count}", head(0, row, codes_of(params, given), int(lane), int(off), int(count)) + data)
print(f"{written} seeds")
