# SPDX-License-Identifier: Apache-2.0
"""weft topo sim at the sizes it is made for, in at most 2 GiB; tools/nightly.sh runs it. Argument: the program."""
import json
import math
import resource
import subprocess
import sys

GIB = 1 << 30
LATENCY = 1e-3
# Nothing but latency, so that the rounds are known; in one lane, and as weft cuts a MiB.
ROUNDS = "rate=1e15,overhead=0,ack=0,incast=0,switch=0,frame=0,send=0,receive=0,handoff=0,pack=0,merge=0,unpack=0"
lg = int(math.log2(4096))
cases = [
    ("allreduce", "doubling", 4096, lg),
    ("allreduce", "halving", 4096, 2 * lg),
    ("allreduce", "binomial", 4096, 2 * lg),
    ("allreduce", "tree", 4096, 2 * lg),
    ("allreduce", "double_tree", 4096, None),
    ("broadcast", "tree", 4096, lg),
    ("barrier", "dissemination", 4096, lg),
    ("allreduce", "ring", 1024, 2 * 1023),
]
for collective, algo, peers, rounds in cases:
    words = [sys.argv[1], "topo", "sim", algo, "-c", collective, "-n", str(peers), "--json", "-", "-b", "1M", "--link", f"1gbit,{LATENCY}"]
    words += ["--lane", "1G"] if algo == "ring" else []
    for net in ([], ["--lane", "1G", "--net", ROUNDS]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        row = json.loads(subprocess.run(words + net, check=True, capture_output=True).stdout)["rows"][0]
        spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        print(f"{collective} {algo} of {peers}: {row['seconds']:.6g} s, {row['messages']} messages, {row['events']} events, {spent:.1f} s of CPU time")
        if net and rounds is not None and not math.isclose(row["seconds"], rounds * LATENCY, rel_tol=1e-3):
            sys.exit(f"FAILED: {row['seconds'] / LATENCY} rounds, expected {rounds}")
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(f"at most {most / GIB:.2f} GiB")
sys.exit(0 if most <= 2 * GIB else "FAILED: more than 2 GiB")
