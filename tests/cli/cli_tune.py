# SPDX-License-Identifier: Apache-2.0
"""weft bench tune: prices beside times, a cost table on the last line, and who takes that table."""
import json
import math
import re
import tempfile

from program import WEFT, check, done, weft

FEW = ("-b", "1K", "-e", "64K", "-f", 8, "-i", 3)
SIZES = (1024, 8192, 65536)


def explain(costs, size, peers=2):
    process = weft("topo", "explain", "allreduce", "-n", peers, "-b", size, "--costs", costs, "--json", "-")
    return {row["algo"]: row["seconds"] * 1e6 for row in json.loads(process.stdout)["candidates"] if row["fits"]}


with tempfile.TemporaryDirectory() as folder:
    for peers, link in ((2, "tcp"), (3, "mem")):
        figures = f"{folder}/{link}.json"
        ran = weft("bench", "tune", "-n", peers, "--link", link, *FEW, "--json", figures)
        data = json.load(open(figures))
        *lines, costs = ran.stdout.splitlines()
        check(lines and all(line.startswith("#") for line in lines), "comments, but for the last line", ran)
        keys = [word.partition("=")[0] for word in costs.split(",")]
        check(keys == ["round", "message", "byte", "reduce", "incast"][:4 if peers == 2 else 5],
              f"the constants that so many peers tell: {costs}", ran)
        check(data["costs"] == costs and data["peers"] == peers and data["link"] == link and data["rounds"] == 3, "what ran", ran)
        check(all(both["before"] >= 0 for both in data["constants"].values()), f"constants {data['constants']}")
        check(math.isclose(data["constants"]["round"]["before"], 40e-6, rel_tol=1e-9), "the built-in constants are told", ran)
        # Every algorithm that can serve, at every size; prices are those that weft topo explain tells.
        for size in SIZES:
            old, new = explain("", size, peers), explain(costs, size, peers)
            rows = {row["algo"]: row for row in data["rows"] if row["size"] == size}
            check(sorted(rows) == sorted(old), f"cells of {size}: {sorted(rows)}, {sorted(old)}")
            for algo, row in rows.items():
                check(row["measured_us"] > 0, f"a time of {algo}")
                check(math.isclose(row["before_us"], old[algo], rel_tol=1e-9), f"old price of {algo}: {row}, {old[algo]}")
                check(math.isclose(row["after_us"], new[algo], rel_tol=1e-9), f"new price of {algo}: {row}, {new[algo]}")
            choice, = [c for c in data["choices"] if c["size"] == size]
            check(rows[choice["best"]]["measured_us"] == min(row["measured_us"] for row in rows.values()), f"best: {choice}")
            for key in ("before", "after"):
                check(rows[choice[key]][key + "_us"] == min(row[key + "_us"] for row in rows.values()), f"cheapest: {choice}")
                times = rows[choice[key]]["measured_us"] / rows[choice["best"]]["measured_us"]
                check(math.isclose(choice[key + "_times"], times, rel_tol=1e-9), f"over the best: {choice}, {times}")
        off = [row["after_us"] / row["measured_us"] - 1 for row in data["rows"]]
        check(math.isclose(data["error_after"], math.sqrt(sum(x * x for x in off) / len(off)), rel_tol=1e-6), "error", ran)
        check(data["error_after"] <= data["error_before"] + 1e-3, f"least squares are not more off: {data}", ran)
        # The table is taken, and chooses as it said.
        for size in SIZES:
            choice, = [c for c in data["choices"] if c["size"] == size]
            row, = json.loads(weft("bench", "allreduce", "-n", peers, "--link", link, "-b", size, "-i", 1, "--json", "-",
                                   env={"WEFT_COSTS": costs}).stdout)["rows"]
            check(row["algo"] == choice["after"].partition(":")[0] or row["algo"] == choice["after"],
                  f"auto takes {row['algo']}, was to take {choice['after']}")

# Named algorithms; the table that is set is the old one; JSON on stdout; below a launcher.
ran = weft("bench", "tune", "-n", 4, "--link", "mem", "-b", "4K", "-e", "4K", "-i", 2, "--algo", "ring", "--algo", "tree:arity=3",
           "--json", "-", env={"WEFT_COSTS": "round=5e-3,incast=0.5"}, says="# the next line is for WEFT_COSTS")
data = json.loads(ran.stdout)
check([row["algo"] for row in data["rows"]] == ["ring", "tree:arity=3"], f"those that were named: {data['rows']}")
check(math.isclose(data["constants"]["round"]["before"], 5e-3, rel_tol=1e-9) and
      math.isclose(data["constants"]["incast"]["before"], 0.5, rel_tol=1e-6), f"old constants: {data['constants']}")
ran = weft("run", "-n", 2, "--", WEFT, "bench", "tune", *FEW)
check("hierarchical" not in ran.stdout and re.search(r"^\[0\] round=", ran.stdout, flags=re.M), "below a launcher", ran)
weft("run", "-n", 2, "--", WEFT, "bench", "tune", "--algo", "hierarchical", *FEW, status=2, says="known only with -n")
# Along a topology only what keeps to its edges is measured.
ran = weft("bench", "tune", "-n", 4, "--link", "mem", *FEW, "--json", "-", env={"WEFT_TOPOLOGY": "ring"})
check({row["algo"].partition(":")[0] for row in json.loads(ran.stdout)["rows"]} == {"graph"}, "along a ring", ran)

for words, says in [
    (["-n", 1], "-n 1: a peer alone sends nothing"),
    (["-b", "1M", "-e", "1K"], "-b 1048576 is above -e 1024"),
    (["-b", "3"], "-b '3': not a size"),
    (["-f", "1.2"], "-f '1.2': not a number"),
    (["--algo", "rnig"], "--algo 'rnig' is no algorithm of allreduce; nearest: ring"),
    (["--algo", "auto"], "--algo auto: expected the SPEC of one algorithm"),
    (["--algo", "tree:arity=0"], "arity: 0 is out of range"),
    (["-n", 5, "--algo", "torus:rows=4"], "torus:rows=4"),
    (["--algo", "graph"], "needs a topology"),
    (["--codec", "raw"], "unknown option '--codec'"),
    (["--json", "no/such/folder.json"], "--json no/such/folder.json: No such file"),
    (["allreduce"], "unexpected word 'allreduce'"),
]:
    process = weft("bench", "tune", *words, status=2, says=says)
    check(process.stdout == "" and process.stderr.count("\n") == 1, "one line, before any table", process)
weft("bench", "tune", "-n", 2, "--link", "mem", *FEW, env={"WEFT_COSTS": "rond=1"}, status=2, says="round")
weft("bench", "-n", 2, "tune", status=2, says="tune stands before all options: weft bench tune")
done()
