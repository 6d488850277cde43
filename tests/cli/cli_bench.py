# SPDX-License-Identifier: Apache-2.0
"""weft bench: tables and JSON on every link, element types, operations, codecs."""
import json
import math
import re
import tempfile

from program import check, done, weft

LINKS = ("mem", "tcp", "ipc")


def bench(collective, *words, peers=3, link="mem"):
    process = weft("bench", collective, "-n", peers, "--link", link, *words, "--json", "-")
    data = json.loads(process.stdout)
    check(data["collective"] == collective and data["peers"] == peers and data["link"] == link, "what ran", process)
    check(data["wrong"] == 0, "no wrong element", process)
    check("# wrong elements       : 0 OK" in process.stderr, "the text goes to stderr", process)
    for row in data["rows"]:
        for way in ("out_of_place", "in_place"):
            if way in row:
                t = row[way]
                check(0 < t["min_us"] <= t["p50_us"] <= t["p99_us"], f"order of times {t}", process)
                check(t["wrong"] == 0 and t["iters"] >= 1, f"iterations {t}", process)
                check(math.isclose(t["algbw_gbs"], data["at_once"] * row["size"] / t["p50_us"] / 1e3, rel_tol=1e-9), "algbw", process)
    return data


# Every collective on every link; counts that do not divide by the peers. Three peers: blocks of one
# length have a third of the size, those of their own 1, 2 and 3 shares of six (of alltoallv rank 1's
# have 2, 3 and none; rank 0's 1, 2, 3).
CELLS = {"barrier": 0, "allreduce": 4, "reduce": 4, "broadcast": 4, "sendrecv": 4}
SOME = ("allreduce", "allgather", "reduce_scatter", "broadcast", "barrier", "reduce", "gatherv", "alltoallv", "sendrecv")
for link in LINKS:
    for collective in SOME + (("allgatherv", "gather", "scatter", "scatterv", "reduce_scatterv", "alltoall") if link == "mem" else ()):
        own = collective.endswith("v") and collective != "sendrecv"
        cell = CELLS.get(collective, 24 if own else 12)
        sizes = [] if collective == "barrier" else ["-b", "0", "-e", 3 * cell - 1, "-f", "1.1"]
        rows = bench(collective, *sizes, "-i", "2", link=link)["rows"]
        check([row["size"] for row in rows] == ([cell, 2 * cell] if cell else [0]),
              f"one element at least, each number of elements once: {rows}")
        if collective != "barrier":
            ways = [] if collective in ("broadcast", "alltoallv", "sendrecv") else ["--inplace"]
            rows = bench(collective, "-b", "1000", "-e", "100000", "-f", "10", "-i", "2", *ways, link=link)["rows"]
            check([row["size"] for row in rows] == [n // cell * cell for n in (1000, 10000, 100000)], f"sizes of {rows}")
            check([row["count"] for row in rows] == [n // cell * (3 if own else 1) for n in (1000, 10000, 100000)],
                  f"elements of the longest block: {rows}")
            check(all(("in_place" in row) == bool(ways) for row in rows), "in place when asked")

# Bus bandwidth as nccl-tests define it.
for collective, factor in (("allreduce", 1.5), ("allgather", 0.75), ("reduce_scatter", 0.75), ("broadcast", 1.0),
                           ("reduce", 1.0), ("gather", 0.75), ("scatter", 0.75), ("alltoall", 0.75), ("alltoallv", 0.75), ("sendrecv", 1.0)):
    row = bench(collective, "-b", "64K", "-i", "1", peers=4)["rows"][0]["out_of_place"]
    check(math.isclose(row["busbw_gbs"], factor * row["algbw_gbs"], rel_tol=1e-9), f"bus factor of {collective}")

# Every type and operation: integers wrap, means are of floating types, and, or, xor of integers.
for dtype in ("float32", "float64", "float16", "bfloat16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
    for op in ("sum", "prod", "min", "max", "mean", "and", "or", "xor") if "16" in dtype else ("sum", "mean", "and"):
        words = ["--dtype", dtype, "--op", op, "-b", "8K", "-i", "1", "-w", "0"]
        if (op in ("and", "or", "xor")) if "float" in dtype else op == "mean":
            weft("bench", "allreduce", "-n", 3, "--link", "mem", *words, status=2, says=f"{op} of {dtype}")
        else:
            bench("allreduce", *words, "--inplace", peers=5)

# Algorithms by name, and what a peer sends with each: the closed forms, for a count that divides.
P, SIZE = 4, 64 << 10
least = 2 * (P - 1) / P
for algo, sent in (
    ("ring", least), ("doubling", math.log2(P)), ("gather", P - 1), ("scatter", least), ("halving", least), ("flat", P - 1),
    ("bidirectional", least), ("torus:rows=2", least), ("hierarchical:between=ring", least),
):
    row = bench("allreduce", "-b", SIZE, "-i", "1", "--algo", algo, peers=P)["rows"][0]
    check(row["algo"] == algo, f"{algo} ran: {row}")
    check(row["body_bytes_sent"] == sent * SIZE, f"{algo} sends {sent} times the vector: {row}")
    check(row["wire_bytes_sent"] > row["body_bytes_sent"], "headers count")

# Of every collective each algorithm by name, from the last root; WEFT_ALGO names the last of them.
NAMES = {
    "reduce": "binomial chain halving flat", "broadcast": "tree chain scatter_allgather flat",
    "allgather": "doubling bruck ring flat", "gather": "binomial flat", "scatter": "binomial flat",
    "reduce_scatter": "halving ring pairwise flat", "alltoall": "bruck pairwise flat",
}
for collective, algos in NAMES.items():
    root = ["--root", P - 1] if collective in ("reduce", "broadcast", "gather", "scatter") else []
    for algo in algos.split():
        for name in (collective, collective + "v")[:1 if collective in ("reduce", "broadcast") or algo == "bruck" else 2]:
            row = bench(name, "-b", "100K", "-i", "1", "--algo", algo, *root, peers=P)["rows"][0]
            check(row["algo"] == algo, f"{name}: {algo} ran: {row}")
    text = weft("bench", collective, "-n", P, "--link", "mem", "-b", "4K", "-i", 1, *root,
                env={"WEFT_ALGO": f"allreduce=ring;{collective}={algo}"}).stdout
    check(re.search(rf"\| {algo}$", text, flags=re.M), f"WEFT_ALGO chooses {algo}: {text}")
weft("bench", "allgather", "-n", 3, "--link", "mem", "--algo", "doubling", status=2, says="power of two, not 3")
weft("bench", "alltoallv", "-n", 3, "--link", "mem", "--algo", "bruck", status=2, says="only sender and receiver know")
weft("bench", "alltoallv", "-n", 3, "--link", "mem", "--inplace", status=2, says="does not go in place")
weft("bench", "gather", "-n", 3, "--link", "mem", "--op", "max", status=2, says="reduces nothing")
weft("bench", "alltoall", "-n", 3, "--link", "mem", "--root", "1", status=2, says="has no root")
weft("bench", "reduce", "-n", 3, "--link", "mem", "--codec", "qsgd", status=2, says="goes with allreduce only")
weft("bench", "allreduce", "-n", 2, "--link", "mem", "--regions", status=2, says="--regions goes with --algo oktopk")
weft("bench", "allreduce", "-n", 3, "--link", "mem", "--regions", "--algo", "oktopk:every=2", "-b", "1K", "-e", "64K", "-i", 6, "--at-once", 2)

# Sendrecv: each peer sends its vector once, long ones and to a single neighbour on both sides too; alone it copies.
for peers, size in ((1, "1M"), (2, "1M"), (5, "300000")):
    row = bench("sendrecv", "-b", size, "-i", "2", peers=peers, link="tcp")["rows"][0]
    check(row["body_bytes_sent"] == row["body_bytes_sent_max"] == (row["size"] if peers > 1 else 0), f"a vector a peer: {row}")
weft("bench", "sendrecv", "-n", 3, "--link", "mem", "--inplace", status=2, says="sends and receives at a time")
weft("bench", "sendrecv", "-n", 3, "--link", "mem", "--op", "max", status=2, says="reduces nothing")
weft("bench", "sendrecv", "-n", 3, "--link", "mem", "--root", "1", status=2, says="has no root")
weft("bench", "sendrecv", "-n", 3, "--link", "mem", "--algo", "ring", status=2, says="sendrecv has no algorithms to choose from")
weft("bench", "sendrecv", "-n", 3, "--link", "mem", "--codec", "qsgd", status=2, says="goes with allreduce only")
weft("bench", "sendrecv", "-n", 4, "--link", "mem", "-b", 4, env={"WEFT_TOPOLOGY": "star"}, status=2, says="no edge of the topology")

# Lossy codecs: checked against what the contributions were decoded to.
for spec in ("qsgd:levels=7,bucket=512", "qsgd:levels=1,bucket=16,norm=max", "qsgd:levels=4,bucket=0,norm=2"):
    for op in ("sum", "mean"):
        row = bench("allreduce", "-b", "40000", "-i", "2", "--inplace", "--codec", spec, "--op", op, peers=4)["rows"][0]
        check(row["dense_ratio"] > 1.5, f"{spec} sends less than a dense ring: {row}")
        check(row["encoded_bytes"] < row["size"] / 4, f"{spec} is short: {row}")
bench("allreduce", "-b", "40000", "-i", "1", "--codec", "qsgd", "--algo", "scatter", link="tcp")

# Several at once, each with data of its own: the size is one's, bytes are those of all.
for collective, ways, link in (("allreduce", ["--inplace"], "tcp"), ("reduce_scatterv", ["--inplace"], "ipc"), ("broadcast", [], "mem"),
                               ("gather", [], "tcp"), ("alltoallv", [], "mem"), ("sendrecv", [], "tcp")):
    one, several = (bench(collective, "-b", "60K", "-i", "3", "--at-once", k, *ways, link=link)["rows"][0] for k in (1, 7))
    check(several["size"] == one["size"] and several["count"] == one["count"], f"the size of one: {several}")
    check(math.isclose(several["body_bytes_sent"], 7 * one["body_bytes_sent"]), f"the bytes of all: {one} {several}")
    check(math.isclose(several["dense_ratio"], one["dense_ratio"]), f"the ratio of bytes: {one} {several}")
check(bench("barrier", "-i", "3", "--at-once", "100")["at_once"] == 100, "barriers at once")
row = bench("allreduce", "-b", "40000", "-i", "2", "--inplace", "--codec", "qsgd", "--at-once", "3")["rows"][0]
check(row["dense_ratio"] > 1.5, f"lossy ones too: {row}")
check("# 3 operations of the size at once" in weft("bench", "allreduce", "-n", 2, "-b", 4, "-i", 1, "--at-once", 3).stdout, "told in the head")
weft("bench", "allreduce", "-n", 2, "--at-once", "0", status=2, says="--at-once '0': not a whole number in 1")
weft("bench", "allreduce", "-n", 2, "--link", "mem", "-b", "1T", "--at-once", "1024", status=1, says="no memory for buffers of 11258999")

# Adaptive iterations, memory, JSON into a file next to the table on stdout.
rows = bench("allreduce", "-b", "1K")["rows"]
check(rows[0]["out_of_place"]["iters"] >= 5, "at least five iterations")
row = bench("allreduce", "-b", "4M", "-i", "3", "--rss", link="tcp")["rows"][0]
check(0 < row["peak_rss_growth_bytes"] < 64 << 20, f"memory grows by frames, not by vectors: {row}")
with tempfile.TemporaryDirectory() as folder:
    process = weft("bench", "allreduce", "-n", 2, "-b", "1K", "-i", 1, "--json", folder + "/b.json")
    check(json.load(open(folder + "/b.json"))["rows"][0]["size"] == 1024, "JSON in a file", process)
    check(re.search(r"^ +1024 +256 +float32 +sum +-1 \|", process.stdout, flags=re.M), "the row on stdout", process)
    check(process.stderr == "", "no progress where there is no terminal", process)
done()
