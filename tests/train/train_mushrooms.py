# SPDX-License-Identifier: Apache-2.0
"""The reference table on mushrooms, 10 peers: steps to a gap within 25 %, floors within a factor 2."""
import os
import pathlib

from trainer import figures, skip, steps_to

data = pathlib.Path(os.environ.get("WEFT_DATA", "../shared/data")) / "mushrooms"
if not data.exists():
    skip(f"no {data} (WEFT_DATA names the folder)")

# name: the run, steps to 1e-3, to 1e-6, floor
TABLE = {
    "GD": ("optimizer=gd", 60, 200, None),
    "DIANA2019": ("optimizer=diana codec=qsgd:levels=1,bucket=0,norm=max lr=theory2019", 150, 540, None),
    "DIANA": ("optimizer=diana codec=qsgd:levels=1,bucket=16,norm=max", 240, 870, None),
    "DIANAx8": ("optimizer=diana codec=qsgd:levels=1,bucket=16,norm=max lr=theory*8", 40, 120, None),
    "QSGD": ("optimizer=sgd codec=qsgd:levels=11,bucket=0,norm=2", 140, None, 4.6e-5),
    "TernGrad": ("optimizer=sgd codec=qsgd:levels=1,bucket=0,norm=max", 275, None, 2.0e-4),
}
words = []
for name, (run, _, _, _) in TABLE.items():
    words += ["--run", f"name={name} {run}"]
done = figures("--data", data, "-n", 10, "--link", "mem", "--l2", "auto", "--steps", 1400,
               "--every", 2, *words, timeout=280)
problem = done["problem"]
assert abs(problem["fstar"] - 0.217159361878) < 1e-12, problem
failed = 0
for run in done["runs"]:
    _, to_3, to_6, floor = TABLE[run["name"]]
    assert len(set(run["x_crc32c"])) == 1, run["name"]
    for gap, want in ((1e-3, to_3), (1e-6, to_6)):
        got = steps_to(run, gap)
        good = got is None if want is None else got is not None and abs(got - want) <= 0.25 * want
        print(f"{run['name']}: {gap:g} after {got} steps, known {want}", "" if good else "WRONG")
        failed += not good
    if floor is not None:
        late = sorted(p["gap"] for p in run["trace"] if p["step"] > 700)
        got = late[len(late) // 2]
        good = floor / 2 < got < floor * 2
        print(f"{run['name']}: floor {got:.2g}, known {floor:g}", "" if good else "WRONG")
        failed += not good
assert failed == 0
