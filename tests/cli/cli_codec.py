# SPDX-License-Identifier: Apache-2.0
"""weft codec: files there and back, samples, the report's figures against sums made here, bad files."""
import json
import math
import os
import pathlib
import random
import re
import struct
import tempfile

from program import check, done, read_floats, weft, write_floats

root = tempfile.TemporaryDirectory()
os.chdir(root.name)
random.seed(4)
vector = [struct.unpack("<f", struct.pack("<f", random.gauss(0, 2)))[0] for _ in range(1300)]
write_floats("v.f32", vector)
write_floats("none.f32", [])
write_floats("nan.f32", [1.0, 2.0, math.nan, 4.0])
write_floats("plane.f32", [3.0, 4.0])
QSGD = "qsgd:levels=7,bucket=100"


def encode(codec, *words, source="v.f32"):
    process = weft("codec", codec, "--in", source, "--encode", "out.bin", *words)
    check(process.stdout == process.stderr == "", "silent", process)
    return pathlib.Path("out.bin").read_bytes()


def report(codec, *words):
    process = weft("codec", codec, "--json", "report.json", *words)
    return json.load(open("report.json")), process


def near(a, b, tolerance=1e-9):
    return abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-300)


# There and back. raw is the elements themselves; what is lost is less than a step of each bucket.
check(encode("raw") == pathlib.Path("v.f32").read_bytes(), "raw encodes to the elements")
weft("codec", "raw", "--in", "out.bin", "--decode", "back.f32", "--count", 1300)
check(read_floats("back.f32") == vector, "raw: there and back")
check(len(encode(QSGD)) == 1 + 13 * 4 + 650, "qsgd: a form byte, 13 scales, 4 bits an element")
weft("codec", QSGD, "--in", "out.bin", "--decode", "back.f32", "--count", 1300)
back = read_floats("back.f32")
for at in range(0, 1300, 100):
    step = max(map(abs, vector[at:at + 100])) / 7
    check(max(abs(a - b) for a, b in zip(vector[at:at + 100], back[at:at + 100])) < step * 1.001, f"bucket at {at}")
check(encode(QSGD, source="none.f32") == b"\1", "no elements: the form byte")
weft("codec", QSGD, "--in", "out.bin", "--decode", "back.f32", "--count", 0)
check(read_floats("back.f32") == [], "no elements back")

# Random numbers are those of seed, member, tensor and draw; the same again give the same bytes.
first = encode(QSGD)
check(encode(QSGD, "--seed", 1, "--member", 0, "--tensor", 0, "--draw", 1) == first, "the defaults, spelled out")
others = [encode(QSGD, *words) for words in (["--seed", 2], ["--member", 1], ["--tensor", 1], ["--draw", 2])]
check(len({first, *others}) == 5, "seed, member, tensor and draw each make other numbers")
check(encode(QSGD) == first, "and again")

# Samples: draws 1 … T, one behind another.
weft("codec", QSGD, "--in", "v.f32", "--samples", 30, "--out", "s.f32", "--member", 3)
samples = read_floats("s.f32")
check(len(samples) == 30 * 1300, "30 vectors")
samples = [samples[t * 1300:(t + 1) * 1300] for t in range(30)]
for draw in (1, 2, 30):
    encode(QSGD, "--draw", draw, "--member", 3)
    weft("codec", QSGD, "--in", "out.bin", "--decode", "back.f32", "--count", 1300)
    check(read_floats("back.f32") == samples[draw - 1], f"sample {draw} has draw {draw}")

# The report is about those samples: error and bias once more, from their definitions.
data, process = report(QSGD, "--in", "v.f32", "--trials", 30, "--member", 3, "--repeats", 2)
energy = sum(x * x for x in vector)
errors = [[a - b for a, b in zip(sample, vector)] for sample in samples]
squares = [sum(e * e for e in error) for error in errors]
total = [sum(column) for column in zip(*errors)]
pairs = (sum(s * s for s in total) - sum(squares)) / (30 * 29)
check(near(data["error"], sum(squares) / 30 / energy), f"error {data['error']}")
mean = sum(squares) / 30
sigma = math.sqrt(sum((s - mean) ** 2 for s in squares) / 29 / 30) / energy
check(near(data["error_sigma"], sigma, 1e-6), f"error_sigma {data['error_sigma']}, here {sigma}")
check(abs(data["bias"] - math.sqrt(max(pairs, 0) / energy)) < 1e-9, f"bias {data['bias']}")
check(0 < data["bias_by_chance"] and data["bias"] < 2 * data["bias_by_chance"], "no more bias than by chance")
check(data["error"] < data["omega"] and near(data["omega"], (math.sqrt(1 + 99 / 49) - 1) / 2), "omega of the design")
check(near(data["norm"], math.sqrt(energy)) and data["largest_magnitude"] == max(map(abs, vector)), "norms")
check(data["bytes"] == 703 and near(data["bits_per_element"], 8 * 703 / 1300) and near(data["ratio"], 5200 / 703), "size")
check(data["codec"] == "qsgd:levels=7,bucket=100,norm=max" or data["codec"].startswith("qsgd:levels=7,bucket=100,"), "full SPEC")
check((data["count"], data["input"], data["unbiased"], data["member"]) == (1300, "v.f32", True, 3), "what was measured")
rates = [data[key + "_bytes_per_second"] for key in ("encode", "decode", "memcpy")]
check(all(rate > 0 for rate in rates), "rates")
check(near(data["encode_of_memcpy"], rates[0] / rates[2]) and near(data["decode_of_memcpy"], rates[1] / rates[2]), "ratios")
pays = 8 * (5200 - 703) / (5200 / rates[0] + 5200 / rates[1])
check(near(data["pays_below_bits_per_second"], pays), "the link below which it pays, by the formula")
for text in ("input     1300 floats, v.f32", "4.3262 bits an element, ratio 7.397", "of memcpy", "on links below ",
             "8 (raw - encoded bytes) / (encode + decode seconds)"):
    check(text in process.stdout, f"the text says: {text}", process)

# Of raw nothing is lost, and it pays nowhere; of one trial the bias is all of the error.
data, process = report("raw", "--in", "v.f32", "--trials", 2, "--repeats", 1)
check((data["ratio"], data["error"], data["bias"], data["omega"]) == (1, 0, 0, 0), "raw: nothing is lost")
check(data["pays_below_bits_per_second"] == 0 and "pays      on no link" in process.stdout, "raw pays nowhere", process)
data, process = report(QSGD, "--in", "v.f32", "--trials", 1, "--repeats", 1)
check(near(data["bias"], math.sqrt(data["error"])) and data["bias_by_chance"] is None, "one trial")

# A biased codec: all error is bias, no bound; a matrix of low rank comes back.
data, process = report("powersgd:rank=1,rows=26", "--in", "v.f32", "--trials", 3, "--repeats", 1)
check(data["omega"] is None and not data["unbiased"] and data["bias_by_chance"] is None, "no bound")
check(0.5 < data["error"] < 1 and data["variance"] == 0 and near(data["bias"] ** 2, data["error"]), "all of it is bias")
check("biased: no bound is stated" in process.stdout, "the text says so", process)
write_floats("outer.f32", [(i + 1) * (2 - j) / 8 for i in range(40) for j in range(30)])
data, _ = report("powersgd:rank=1,rows=40", "--in", "outer.f32", "--trials", 1, "--repeats", 1)
check(data["error"] < 1e-12 and data["bytes"] == 10 + 4 * 70, "rank 1")

# --random: Gaussian numbers from the seed and the member, also of odd number.
runs = [report(QSGD, "--random", *words, "--trials", 2, "--repeats", 1)[0]
        for words in (["64K"], ["64K"], ["64K", "--seed", 2], ["64K", "--member", 1], ["1"], ["12345"])]
check(runs[0]["norm"] == runs[1]["norm"] and len({run["norm"] for run in runs[:4]}) == 3, "the same from the same seed")
check([run["count"] for run in runs] == [65536] * 4 + [1, 12345], "as many as asked for")
for run in runs[:4]:
    check(abs(run["norm"] ** 2 / 65536 - 1) < 5 * math.sqrt(2 / 65536) and 3.5 < run["largest_magnitude"] < 7, "they are Gaussian")
data = json.loads(weft("codec", QSGD, "--in", "plane.f32", "--json", "-", "--trials", 2, "--repeats", 1).stdout)
check((data["norm"], data["largest_magnitude"]) == (5, 4), "3, 4, 5")
write_floats("zeros.f32", [0.0] * 10)
check(report(QSGD, "--in", "zeros.f32", "--repeats", 1)[0]["error"] == 0, "of zeros nothing is lost")

# Bad files and what does not go together: told with the file's name, nothing is written.
pathlib.Path("odd.f32").write_bytes(b"12345")
pathlib.Path("out.bin").write_bytes(first)
pathlib.Path("short.bin").write_bytes(first[:-1])
pathlib.Path("kept").write_bytes(b"as it was")
TO = ["--encode", "kept"]
for words, says in [
    (["raw", "--in", "odd.f32", *TO], "--in odd.f32: 5 bytes are no whole number of elements of 4 bytes"),
    (["raw", "--in", "odd.f32"], "--in odd.f32: 5 bytes are no whole number"),
    (["raw", "--in", "gone.f32", *TO], "--in gone.f32: No such file or directory"),
    (["raw", "--in", ".", *TO], "--in .: is no regular file"),
    (["qsgd", "--in", "nan.f32", *TO], "--in nan.f32: codec qsgd: element 2 is NaN"),
    (["qsgd", "--in", "nan.f32", "--samples", "3", "--out", "kept"], "--in nan.f32: codec qsgd: element 2 is NaN"),
    (["qsgd", "--in", "nan.f32"], "--in nan.f32: codec qsgd: element 2 is NaN"),
    (["qsgd", "--in", "none.f32"], "--in none.f32: no elements to report on"),
    ([QSGD, "--in", "short.bin", "--decode", "kept", "--count", "1300"], "--in short.bin: codec qsgd: offset 702: "),
    ([QSGD, "--in", "out.bin", "--decode", "kept", "--count", "1301"], "--in out.bin: codec qsgd: offset "),
    ([QSGD, "--in", "v.f32", "--decode", "kept", "--count", "1300"], "--in v.f32: codec qsgd: offset "),
    (["raw", "--in", "v.f32", "--decode", "kept", "--count", "1299"], "--in v.f32: codec raw: offset 5200: 1299 elements"),
    (["raw", "--in", "v.f32", "--encode", "no/where.bin"], "--encode no/where.bin: No such file or directory"),
    (["raw", "--in", "v.f32", "--samples", "2", "--out", "no/s.f32"], "--out no/s.f32: No such file or directory"),
    (["raw", "--in", "v.f32", "--encode", "/dev/full"], "--encode /dev/full: No space left on device"),
    (["raw", "--in", "v.f32", "--samples", "9", "--out", "/dev/full"], "--out /dev/full: No space left on device"),
    (["raw", "--json", "no/where.json"], "--json no/where.json: No such file"),
    (["raw", "--in", "v.f32", "--decode", "kept"], "--decode needs --count N"),
    (["raw", *TO], "--encode needs --in FILE"),
    (["raw", "--samples", "2", "--out", "kept"], "--samples needs --in FILE"),
    (["raw", "--in", "v.f32", "--samples", "2"], "--samples needs --out FILE"),
    (["raw", "--in", "v.f32", *TO, "--decode", "kept"], "--decode does not go with --encode"),
    (["raw", "--in", "v.f32", *TO, "--trials", "3"], "--trials does not go with --encode"),
    (["raw", "--in", "v.f32", "--decode", "kept", "--count", "1300", "--seed", "2"], "--seed does not go with --decode"),
    (["raw", "--in", "v.f32", "--samples", "2", "--out", "kept", "--draw", "2"], "--draw does not go with --samples"),
    (["raw", "--in", "v.f32", "--count", "2"], "--count does not go with a report"),
    (["raw", "--in", "v.f32", "--random", "2K"], "--in and --random do not go together"),
    (["raw", "--random", "0"], "--random '0'"),
    (["raw", "--trials", "0"], "--trials '0'"),
    (["qsdg"], 'codec "qsdg" is unknown (did you mean qsgd?)'),
    (["qsgd:level=3"], "levels"),
    (["raw", "--randon", "3"], "nearest: --random"),
    ([], "too few words"),
]:
    process = weft("codec", *words, status=2, says=says)
    check(process.stdout == "" and process.stderr.count("\n") == 1, "one line on stderr alone", process)
check(pathlib.Path("kept").read_bytes() == b"as it was", "a file that was to be written is as it was")
check(not [name for name in os.listdir() if name.endswith(".part")], "no parts of files are left")

# The example of --help runs, on fewer numbers.
text = weft("codec", "--help").stdout
example = re.search(r"example:\n  weft (.*)", text)[1].split()
weft(*[word.replace("16M", "4K") for word in example])
check(json.load(open("report.json"))["count"] == 4096, "the example of --help")
done()
