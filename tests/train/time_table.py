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
print(f"| run | steps to {100 * wanted:g} % | seconds | first run's / its | sent by a peer, Mbit | seconds a step | of these gradients "
      "| waiting | the rest | overlap |")
print("|---|---|---|---|---|---|---|---|---|---|")
first = None
for run in runs:
    reached = next((p for p in run["trace"] if p["accuracy"] >= wanted), None)
    last = run["trace"][-1]
    steps = last["step"]
    each = [last[key] / steps for key in ("seconds", "gradient_seconds", "wait_seconds")]
    overlap = 1 - last["wait_seconds"] / last["operation_seconds"]
    first = first or (reached and reached["seconds"])
    found = f"{reached['step']} | {reached['seconds']:.1f} | {first / reached['seconds']:.1f} | {reached['sent_bits'] / 1e6:.0f}" \
        if reached else f"- (best {100 * max(p['accuracy'] for p in run['trace']):.1f} %) | - | - | -"
    print(f"| {run['name']} | {found} | {each[0]:.3f} | {each[1]:.3f} | {each[2]:.3f} | {each[0] - each[1] - each[2]:.3f} "
          f"| {100 * overlap:.0f} % |")
