# SPDX-License-Identifier: Apache-2.0
"""files_table.py [PEERS]: other files, shards sorted by label, and l1, in Markdown.
WEFT_TOOL names the program, WEFT_DATA the folder with the data sets. Full batches, state in double;
steps until the gap is 1e-11, for methods with a floor the median gap of the last thousand steps."""
import sys

from trainer import data_file, figures, steps_to

PEERS = int(sys.argv[1]) if len(sys.argv) > 1 else 10
BLOCKS = "optimizer=diana:state=f64 codec=qsgd:levels=1,bucket=16,norm=max"
RUNS = [
    ("GD", "optimizer=gd:state=f64 algo=ring"),
    ("DIANA", BLOCKS),
    ("DIANAx8", f"{BLOCKS} lr=theory*8"),
    ("QSGD", "optimizer=sgd:state=f64 codec=qsgd:levels=11,bucket=0,norm=2"),
    ("DQGD", "optimizer=sgd:state=f64 codec=qsgd:levels=1,bucket=0,norm=2"),
]


def run(name, order, runs, *more):
    words = [w for label, spec in runs for w in ("--run", f"name={label} {spec}")]
    return figures("--data", data_file(name), "-n", PEERS, "--link", "mem", "--l2", "auto", "--shards", order, "--every", 10,
                   *more, *words, timeout=3000)["runs"]


def reached(one):
    steps = steps_to(one, 1e-11)
    return str(steps) if steps is not None else f"no ({one['trace'][-1]['gap']:.1e})"


def floor(one):
    late = sorted(p["gap"] for p in one["trace"] if p["step"] > 1500)
    return f"{late[len(late) // 2]:.1e}"


print("| data, shards | GD: steps to 1e-11 | DIANA at theory's step | at 8 x | QSGD, 11 levels: gap | DQGD: gap |")
print("|---|---|---|---|---|---|")
for name in "mushrooms", "w8a.xz", "phishing.xz":
    for order in "file", "label":
        gd, diana, faster, qsgd, dqgd = run(name, order, RUNS, "--steps", 2500)
        print(f"| {name.split('.')[0]}, {order} | {reached(gd)} | {reached(diana)} | {reached(faster)} | {floor(qsgd)} | {floor(dqgd)} |",
              flush=True)
print("\n| data, l1 0.01 by prox | coordinates | in dense's support | DIANA's differs in | DIANA's gap |\n|---|---|---|---|---|")
for name in "mushrooms", "w8a.xz", "phishing.xz":
    gd, diana = run(name, "file", RUNS[:2], "--steps", 4000, "--l1", 0.01)
    support, other = ({j for j, v in enumerate(r["model"]) if v != 0} for r in (gd, diana))
    print(f"| {name.split('.')[0]} | {len(gd['model'])} | {len(support)} | {len(support ^ other)} | {diana['trace'][-1]['gap']:.1e} |",
          flush=True)
