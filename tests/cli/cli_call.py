# SPDX-License-Identifier: Apache-2.0
"""weft call: results against sums made here, byte counts, bad files, peers that disagree."""
import functools
import json
import math
import operator
import os
import pathlib
import random
import re
import subprocess
import tempfile

from program import LONG, WEFT, check, done, environment, read_floats, weft, write_floats

KINDS = {"float32": "f", "float64": "d", "float16": "e", "int16": "h", "uint16": "H", "int32": "i", "int64": "q", "uint8": "B"}
OPS = {"sum": sum, "min": min, "max": max, "prod": math.prod}
BITS = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}
root = tempfile.TemporaryDirectory()
os.chdir(root.name)


def inputs(peers, count, dtype="float32", name="in", seed=1):
    """Whole numbers, exact in every type, one file a rank."""
    random.seed(seed)
    vectors = [[random.randint(0, 5) for _ in range(count)] for _ in range(peers)]
    for rank, vector in enumerate(vectors):
        write_floats(f"{name}{rank}.raw", vector, KINDS[dtype])
    return vectors


def call(collective, peers, *words, link="mem", dtype="float32", outputs=True):
    """The results of all ranks."""
    for rank in range(peers):
        if os.path.exists(f"out{rank}.raw"):
            os.remove(f"out{rank}.raw")
    process = weft("call", collective, "-n", peers, "--link", link, "--dtype", dtype, "--in", "in%d.raw",
                   "--out", "out%d.raw", *words)
    check(process.stdout == "" or "--sent" in words, "silent", process)
    return [read_floats(f"out{rank}.raw", KINDS[dtype]) for rank in range(peers)] if outputs else process


# Every collective equals what is computed here, on each link, for awkward peers and counts.
for link, sizes in (("mem", (1, 2, 3, 5)), ("tcp", (3,)), ("ipc", (2,))):
    for peers in sizes:
        for count in (0, 1, peers + 1, 1000):
            vectors = inputs(peers, count)
            total = [sum(column) for column in zip(*vectors)]
            check(call("allreduce", peers, link=link) == [total] * peers, f"allreduce {link} {peers} {count}")
            everything = [x for vector in vectors for x in vector]
            check(call("allgather", peers, link=link) == [everything] * peers, f"allgather {link} {peers} {count}")
            last = peers - 1
            check(call("sendrecv", peers, link=link) == vectors[-1:] + vectors[:-1], f"sendrecv {link} {peers} {count}")
            check(call("broadcast", peers, "--root", last, link=link) == [vectors[last]] * peers, f"broadcast {link}")
        vectors = inputs(peers, 7 * peers)
        total = [sum(column) for column in zip(*vectors)]
        check(call("reduce_scatter", peers, link=link) == [total[7 * r:7 * r + 7] for r in range(peers)],
              f"reduce_scatter {link} {peers}")
weft("call", "barrier", "-n", 3)
for dtype in KINDS:
    for op, oracle in OPS.items():
        vectors = inputs(3, 50, dtype)
        check(call("allreduce", 3, "--op", op, dtype=dtype) == [[oracle(c) for c in zip(*vectors)]] * 3, f"{op} {dtype}")
for op, oracle in BITS.items():
    vectors = inputs(3, 50, "uint16")
    check(call("allreduce", 3, "--op", op, dtype="uint16") == [[functools.reduce(oracle, c) for c in zip(*vectors)]] * 3, op)
vectors = inputs(4, 50, "float64")
check(call("allreduce", 4, "--op", "mean", dtype="float64") == [[sum(c) / 4 for c in zip(*vectors)]] * 4, "mean")

# Blocks: the same by hand, on each link.
for link, peers in (("mem", 1), ("mem", 4), ("tcp", 3), ("ipc", 2)):
    last, each = peers - 1, range(peers)
    vectors = inputs(peers, 6 * peers)
    total = [sum(column) for column in zip(*vectors)]
    cut = [[vector[6 * r:6 * r + 6] for r in each] for vector in vectors]
    join = lambda blocks: [x for block in blocks for x in block]
    check(call("alltoall", peers, link=link) == [join(cut[o][r] for o in each) for r in each], f"alltoall {link}")
    call("reduce", peers, "--root", last, link=link, outputs=False)
    check(read_floats(f"out{last}.raw") == total, f"reduce {link}")
    call("gather", peers, "--root", last, link=link, outputs=False)
    check(read_floats(f"out{last}.raw") == join(vectors), f"gather {link}")
    check(peers == 1 or not os.path.exists("out0.raw"), "the root alone has a result")
    check(call("scatter", peers, "--root", last, link=link) == cut[last], f"scatter {link}")
    counts = [(r * 5 + 2) % 7 for r in each]
    counts[last] += 6 * peers - sum(counts)
    ends = [sum(counts[:r + 1]) for r in each]
    words = ["--counts", ",".join(map(str, counts))]
    mine = [[vector[e - c:e] for e, c in zip(ends, counts)] for vector in vectors]
    check(call("scatterv", peers, "--root", last, *words, link=link) == mine[last], f"scatterv {link}")
    check(call("reduce_scatterv", peers, *words, link=link) == [total[e - c:e] for e, c in zip(ends, counts)],
          f"reduce_scatterv {link}")
    check(call("alltoallv", peers, *words, link=link) == [join(mine[o][r] for o in each) for r in each], f"alltoallv {link}")
    for rank in each:
        write_floats(f"in{rank}.raw", vectors[rank][:3 * rank])
    everything = join(vectors[rank][:3 * rank] for rank in each)
    check(call("allgatherv", peers, link=link) == [everything] * peers, f"allgatherv {link}")
    call("gatherv", peers, "--root", last, link=link, outputs=False)
    check(read_floats(f"out{last}.raw") == everything, f"gatherv {link}")
# A row of lengths for each rank.
vectors = inputs(2, 5)
check(call("alltoallv", 2, "--counts", "2,3,1,4") == [vectors[0][:2] + vectors[1][:1], vectors[0][2:] + vectors[1][1:]], "rows")
# One file will do for a result that one rank has, and an algorithm by name.
weft("call", "reduce", "-n", 2, "--link", "mem", "--in", "in%d.raw", "--out", "one.raw", "--algo", "chain")
check(read_floats("one.raw") == [sum(c) for c in zip(*vectors)], "one result, one file")
for words, says in [
    (["scatterv"], "scatterv needs --counts"),
    (["scatter", "--counts", "2,3"], "has no use for it"),
    (["alltoallv", "--counts", "2,3,4"], "--counts has 3 numbers for 2 peers; a row"),
    (["reduce_scatterv", "--counts", "2,3,1,4"], "--counts has 4 numbers for 2 peers"),
    (["reduce_scatterv", "--counts", "2,4"], "sum up to 6, its file has 5"),
    (["reduce_scatterv", "--counts", "2,x"], "'x' is not a whole number"),
    (["reduce_scatterv", "--counts", "2,,3"], "'' is not a whole number"),
    (["alltoall"], "multiple of 2"),
    (["allgatherv", "--algo", "binomial"], "no algorithm of allgather"),
]:
    weft("call", *words, "-n", 2, "--link", "mem", "--in", "in%d.raw", "--out", "o%d", status=2, says=says)

# A broadcast and a scatter read the root's file only.
vectors = inputs(3, 21)
os.remove("in0.raw"), os.remove("in2.raw")
check(call("broadcast", 3, "--root", 1) == [vectors[1]] * 3, "the other ranks need no input")
check(call("scatter", 3, "--root", 1) == [vectors[1][7 * r:7 * r + 7] for r in range(3)], "nor do they of a scatter")

# Lossy: the result is the sum of the decoded contributions, residuals are what encoding lost.
random.seed(2)
vectors = [[random.gauss(0, 1) for _ in range(300)] for _ in range(3)]
for rank, vector in enumerate(vectors):
    write_floats(f"in{rank}.raw", vector)
stored = [read_floats(f"in{rank}.raw") for rank in range(3)]
LOSSY = ["--codec", "qsgd:levels=3,bucket=64", "--own-out", "own%d.raw", "--residual-out", "res%d.raw", "--draw", 7]
first = call("allreduce", 3, *LOSSY)
own = [read_floats(f"own{rank}.raw") for rank in range(3)]
lost = [read_floats(f"res{rank}.raw") for rank in range(3)]
check(first[0] == first[1] == first[2], "the same bits on all ranks")
check(all(math.isclose(x, sum(c), abs_tol=1e-5) for x, *c in zip(first[0], *own)), "sum of the decoded contributions")
check(own != stored and all(math.isclose(a - b, c, abs_tol=1e-6) for r in range(3)
                            for a, b, c in zip(stored[r], own[r], lost[r])), "residual = input - decoded")
check(call("allreduce", 3, *LOSSY, link="tcp") == first, "the same draw gives the same bits on another link")
check(call("allreduce", 3, *LOSSY[:-1], 8) != first, "another draw gives others")
check(call("allreduce", 3, *LOSSY, "--seed", 2) != first, "another seed gives others")
lost = [read_floats(f"res{rank}.raw") for rank in range(3)]
call("allreduce", 3, *LOSSY, "--residual-in", "res%d.raw")
again = [read_floats(f"own{rank}.raw") for rank in range(3)]
fresh = [read_floats(f"res{rank}.raw") for rank in range(3)]
check(all(math.isclose(a + e - b, c, abs_tol=1e-5) for r in range(3)
          for a, e, b, c in zip(stored[r], lost[r], again[r], fresh[r])), "residuals are added to the input")

# Bytes: the closed forms of ring and gather, and what one sends another takes.
inputs(4, 1024)
process = call("allreduce", 4, "--algo", "ring", "--sent", "-", outputs=False)
sent = json.loads(process.stdout)
check(sent["algo"] == "ring" and sent["peers"] == 4 and sent["count"] == 1024, "what ran", process)
check([rank["body_bytes_sent"] for rank in sent["ranks"]] == [2 * 3 * 1024] * 4, "ring sends 2 (P-1)/P n w", process)
call("allreduce", 4, "--algo", "gather", "--codec", "qsgd", "--sent", "sent.json")
sent = json.load(open("sent.json"))
check(all(rank["body_bytes_sent"] == 3 * rank["encoded_bytes"] for rank in sent["ranks"]), f"gather sends P-1: {sent}")
check(sum(rank["body_bytes_sent"] for rank in sent["ranks"]) == sum(rank["body_bytes_received"] for rank in sent["ranks"]),
      f"what is sent is received: {sent}")

def ranks_told(text):
    """Ranks in lines like `weft call: ranks 0-1, 3: …`."""
    told = set()
    for words in re.findall(r"^weft call: (?:rank|ranks) ([0-9, -]+): ", text, flags=re.M):
        for part in words.split(", "):
            first, _, last = part.partition("-")
            told |= set(range(int(first), int(last or first) + 1))
    return told | ({0, 1, 2} if "all ranks: " in text else set())


# Inputs of different lengths: every rank is told at once, with both calls; exit 2.
inputs(3, 10)
write_floats("in1.raw", [1.0] * 11)
for link in ("mem", "tcp"):
    process = weft("call", "allreduce", "-n", 3, "--link", link, "--in", "in%d.raw", "--out", "no%d.raw", status=2)
    check("10" in process.stderr and "11" in process.stderr, "both counts", process)
    check("allreduce: allreduce" not in process.stderr, "the operation is named once", process)
    check("lost" not in process.stderr and ranks_told(process.stderr) == {0, 1, 2}, "every rank is told", process)
    check(not os.path.exists("no0.raw"), "no result is written")

# Bad files are told before anything starts.
inputs(2, 8)
for words, says in [
    (["--in", "none%d.raw", "--out", "o%d"], "none0.raw: No such file"),
    (["--in", "in%d.raw", "--out", "same"], "put %d into it"),
    (["--in", "in%d%d.raw", "--out", "o%d"], "at most one %d"),
    (["--in", "in%s.raw", "--out", "o%d"], "at most one %d"),
    (["--in", ".", "--out", "o%d"], "no regular file"),
    (["--out", "o%d"], "needs --in"),
    (["--in", "in%d.raw", "--out", "o%d", "--root", "2"], "not among 2 peers"),
    (["--in", "in%d.raw", "--out", "nowhere/o%d"], "nowhere/o0: No such file"),
]:
    weft("call", "allreduce", "-n", 2, "--link", "mem", *words, status=2, says=says)
open("in1.raw", "ab").write(b"x")
weft("call", "allreduce", "-n", 2, "--in", "in%d.raw", "--out", "o%d", status=2, says=["rank 1: in1.raw: 33 bytes"])
inputs(3, 10)
weft("call", "reduce_scatter", "-n", 3, "--link", "mem", "--in", "in%d.raw", "--out", "o%d", status=2, says="multiple of 3")
write_floats("in1.raw", [1.0] * 9 + [math.nan])
weft("call", "allreduce", "-n", 3, "--link", "mem", "--in", "in%d.raw", "--out", "o%d", "--codec", "qsgd", status=2, says="NaN")

# The example of README.md prints what it says.
readme = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()
example = [block for block in re.findall(r"```sh\n(.*?)```", readme, flags=re.S) if "weft call" in block]
check(len(example) == 1, "one example of weft call")
with tempfile.TemporaryDirectory() as folder:
    process = subprocess.run(["sh", "-e", "-c", example[0]], capture_output=True, text=True, timeout=LONG, cwd=folder, stdin=subprocess.DEVNULL,
                             env=environment(folder, PATH=os.path.dirname(WEFT) + os.pathsep + os.environ["PATH"]))
    check(process.returncode == 0, "it runs", process)
    check(process.stdout.split() == re.search(r"# (.*), as in", example[0])[1].split(), "it prints what it says", process)
    check(len({pathlib.Path(folder, f"sum{rank}.f32").read_bytes() for rank in range(3)}) == 1, "the same bits everywhere")
os.chdir("/")
done()
