# SPDX-License-Identifier: Apache-2.0
"""reference_table.py [SEEDS [LINK]]: measure the reference table on mushrooms and print it in Markdown.
WEFT_TOOL names the program, WEFT_DATA the folder with the data set. State in double, so that
1e-12 is reached; means over the seeds; "known" is what independent implementations found."""
import sys

from reference import PEERS, ROWS
from trainer import data_file, figures, steps_to

seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
link = sys.argv[2] if len(sys.argv) > 2 else "mem"
data = data_file("mushrooms")


def double(run):
    """The run with its optimizer's state in double."""
    name = run.split()[0]
    return run.replace(name, name + ("," if ":" in name else ":") + "state=f64", 1)


def measure(algo, seed):
    words = []
    for name, run, *_ in ROWS:
        chosen = "ring" if name == "GD" else algo
        words += ["--run", f"name={name} {double(run)} algo={chosen}"]
    return figures("--data", data, "-n", PEERS, "--link", link, "--l2", "auto", "--steps", 2500,
                   "--every", 2, "--seed", seed, *words, timeout=3000)


def mean(values):
    values = list(values)
    return None if None in values or not values else sum(values) / len(values)


def bits_to(run, key, gap):
    return next((p[key] / 1e6 for p in run["trace"] if p["gap"] <= gap), None)


def cell(value, form):
    return "-" if value is None else form % value


gathered = [measure("gather", s + 1) for s in range(seeds)]
scattered = [measure("scatter", s + 1) for s in range(seeds)]
smooth = gathered[0]["problem"]["L"]
print("| run | gamma L | steps to 1e-3 / 1e-6 / 1e-12 | known | own Mbit to 1e-12 | known "
      "| sent Mbit to 1e-9, gather / scatter | gap at 2500 | known |")
print("|---|---|---|---|---|---|---|---|---|")
for i, (name, _, _, to3, to6, to12, own, floor) in enumerate(ROWS):
    runs = [done["runs"][i] for done in gathered]
    others = [done["runs"][i] for done in scattered]
    steps = [mean(steps_to(r, gap) for r in runs) for gap in (1e-3, 1e-6, 1e-12)]
    # The median of the last thousand steps: methods with a floor wander.
    late = [sorted(p["gap"] for p in r["trace"] if p["step"] > 1500) for r in runs]
    last = mean(a[len(a) // 2] for a in late) if floor is not None and steps[1] is None and \
        not name.startswith("DIANA") else mean(r["trace"][-1]["gap"] for r in runs)
    sent = "/".join(cell(mean(bits_to(r, "sent_bits", 1e-9) for r in many), " %.2f ")
                    for many in (runs, others))
    print(f"| {name} | {runs[0]['lr'] * smooth:.3f} "
          f"| {' / '.join(cell(s, '%.0f') for s in steps)} "
          f"| {' / '.join(cell(s, '%d') for s in (to3, to6, to12))} "
          f"| {cell(mean(bits_to(r, 'up_bits', 1e-12) for r in runs), '%.3f')} | {cell(own, '%.3f')} "
          f"| {sent.strip()} | {cell(last, '%.1e')} | {cell(floor, '%.1e')} |")
