# SPDX-License-Identifier: Apache-2.0
"""weft bench sees a wrong result, one bit of one element on one rank; weft topo verify tells of proofs that fail;
weft codec sees an error above the stated bound.
Argument: the library that spoils them."""
import json
import sys

from program import check, done, weft

for codec in ("raw", "qsgd"):
    for rank in (0, 2):
        process = weft("bench", "allreduce", "-n", 3, "-b", "1K", "-e", "16K", "-f", "16", "-i", 1, "--codec", codec,
                       "--json", "-", status=1, env={"LD_PRELOAD": sys.argv[1], "CORRUPT_RANK": rank})
        data = json.loads(process.stdout)
        short, long = (row["out_of_place"]["wrong"] for row in data["rows"])
        check(short == 0, f"the short vector is right: {data}", process)
        # A lossy result is compared with rank 0's: its own spoilt element is every other's difference.
        check(long >= 1 if codec == "qsgd" else long == 1, f"the spoilt element is counted: {data}", process)
        check(data["wrong"] == long and "FAILED" in process.stderr, "and told", process)

# Blocks of others, and of a root alone: rank 0's is long enough in each of them.
for collective in ("reduce_scatter", "gatherv", "alltoallv", "sendrecv"):
    process = weft("bench", collective, "-n", 3, "-b", "64K", "-i", 1, "--json", "-", status=1,
                   env={"LD_PRELOAD": sys.argv[1], "CORRUPT_RANK": 0})
    check(json.loads(process.stdout)["wrong"] == 1, f"the spoilt element of {collective} is counted", process)

# Of several at once: the input of one of them is spoilt on one rank, every rank's sum of it is wrong.
process = weft("bench", "allreduce", "-n", 3, "-b", "64K", "-i", 1, "-w", 0, "--at-once", 4, "--json", "-", status=1,
               env={"LD_PRELOAD": sys.argv[1], "CORRUPT_RANK": 1})
check(json.loads(process.stdout)["wrong"] == 3, "the one operation's spoilt element is counted", process)

process = weft("topo", "verify", "ring", "-n", "3..5", "--json", "-", status=1, env={"LD_PRELOAD": sys.argv[1], "CORRUPT_PROOF": 4})
data = json.loads(process.stdout)
check(data["failed"] > 0 and data["failed"] == sum(row["failed"] for row in data["rows"]), "failures are counted", process)
check(len(data["failures"]) == len(data["rows"]), "one told for each size", process)
check("FAILED query: size is not set" in process.stderr and process.stderr.rstrip().endswith(f"{data['failed']} failures"), "and told", process)

# A codec that decodes something else than its bound allows.
for codec in ("raw", "qsgd"):
    for env, status, says in (({"CORRUPT_CODEC": 1}, 1, "the error is above the stated bound"), ({}, 0, ())):
        weft("codec", codec, "--random", "4K", "--repeats", 1, status=status, says=says, env={"LD_PRELOAD": sys.argv[1], **env})
done()
