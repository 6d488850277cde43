# SPDX-License-Identifier: Apache-2.0
"""bits_table.py [PEERS...]: bits that a peer sends until the gap is 1e-9 on mushrooms, in Markdown, for
every way that DIANA's messages can take without a server, beside dense gradient descent.
WEFT_TOOL names the program, WEFT_DATA the folder with the data set. Seven levels and one scale a
message, momentum 0.5; every way has its own best step of the FACTORS times theory's."""
import sys

from trainer import data_file, figures

GAP, STEPS, EVERY = 1e-9, 800, 5
DENSE = (1.5, 2, 2.5, 3, 3.5)
FACTORS = (4, 8, 16, 32, 48, 64, 96, 128)
SENDS = "optimizer=diana:momentum=0.5 codec=qsgd:levels=3,bucket=112,norm=max"
WAYS = [
    ("relay of encodings", f"{SENDS} algo=gather"),
    ("scatter, float32 reply", f"{SENDS} algo=scatter"),
    ("scatter, 4-bit reply with memory", f"{SENDS} algo=scatter reply-codec=qsgd:levels=7,bucket=112,norm=max"),
    ("shared scale, ring", f"{SENDS} algo=shared:over=ring"),
    ("shared scale, tree", f"{SENDS} algo=shared:over=tree"),
    ("shared scale, butterfly", f"{SENDS} algo=shared:over=butterfly"),
]


def measure(peers, runs):
    words = [w for name, run in runs for w in ("--run", f"name={name} {run}")]
    return figures("--data", data_file("mushrooms"), "-n", peers, "--link", "mem", "--l2", "auto", "--steps", STEPS,
                   "--every", EVERY, "--target", GAP, *words, timeout=3000)["runs"]


def cost(run):
    """(bits, of the busiest peer, step) at the gap; None: not reached."""
    return next(((p["sent_bits"], p["sent_bits_max"], p["step"]) for p in run["trace"] if p["gap"] <= GAP), None)


def table(peers):
    dense = [("GD", "optimizer=gd algo=ring")] + [(f"x{f}", f"optimizer=gd algo=ring lr=theory*{f}") for f in DENSE]
    gd, *others = (cost(r) for r in measure(peers, dense))
    best, factor = min((c, f) for c, f in zip(others, DENSE) if c is not None)
    rows = [("GD, 2/(L+mu), ring", "1", gd), ("GD, its best step, ring", str(factor), best)]
    for name, run in WAYS:
        done = measure(peers, [(f"x{f}", f"{run} lr=theory*{f}") for f in FACTORS])
        reached = [(cost(r), f) for r, f in zip(done, FACTORS) if cost(r) is not None]
        least, factor = min(reached) if reached else (None, None)
        rows.append((name, str(factor), least))
    for name, factor, found in rows:
        if found is None:
            print(f"| {peers} | {name} | - | - | - | - | - | - |")
        else:
            bits, most, step = found
            print(f"| {peers} | {name} | {factor} | {step} | {bits / 1e3:.0f} | {most / 1e3:.0f} | {bits / gd[0]:.3f} "
                  f"| {bits / best[0]:.3f} |", flush=True)


print("| peers | way | x theory | steps | sent by a peer, kbit | by the busiest | of GD at 2/(L+mu) | of GD at its best |")
print("|---|---|---|---|---|---|---|---|")
for count in [int(a) for a in sys.argv[1:]] or [2, 4, 10, 16]:
    table(count)
