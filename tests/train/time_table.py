# SPDX-License-Identifier: Apache-2.0
"""time_table.py ACCURACY FILE.json...: from what `weft train --json` wrote, how long each run took until
that test accuracy (0 ... 1), beside the first run, and what its seconds went into. In Markdown."""
import json
import sys

wanted = float(sys.argv[1])
runs = []
for name in sys.argv[2:]:
    with open(name, encoding="utf-8") as f:
        runs += json.load(f)["runs"]
print(f"| run | steps to {100 * wanted:g} % | seconds | times faster than the first | sent by a peer, Mbit | seconds a step | of these gradients "
      "| waiting | the rest | overlap |")
print("|---|---|---|---|---|---|---|---|---|---|")


def reach(run):
    """The first traced point with that accuracy, None: it has none."""
    return next((p for p in run["trace"] if p["accuracy"] >= wanted), None)


for run in runs:
    if "accuracy" not in run["trace"][-1] or run["steps"] == 0:
        sys.exit(f"run {run['name']}: no steps, or no test data with classes")
    reached, first, last = reach(run), reach(runs[0]), run["trace"][-1]
    each = [last[key] / run["steps"] for key in ("seconds", "gradient_seconds", "wait_seconds")]
    overlap = 1 - last["wait_seconds"] / last["operation_seconds"] if last["operation_seconds"] > 0 else 0
    times = f"{first['seconds'] / reached['seconds']:.1f}" if first and reached else "-"
    found = f"{reached['step']} | {reached['seconds']:.1f} | {times} | {reached['sent_bits'] / 1e6:.0f}" \
        if reached else f"- (best {100 * max(p['accuracy'] for p in run['trace']):.1f} %) | - | - | -"
    print(f"| {run['name']} | {found} | {each[0]:.3f} | {each[1]:.3f} | {each[2]:.3f} | {each[0] - each[1] - each[2]:.3f} "
          f"| {100 * overlap:.0f} % |")
