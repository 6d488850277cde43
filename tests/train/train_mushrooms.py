# SPDX-License-Identifier: Apache-2.0
"""The reference table on mushrooms, 10 peers: steps to a gap within 25 %, floors within a factor 2."""
from reference import FSTAR, PEERS, ROWS
from trainer import data_file, figures, skip, steps_to

data = data_file("mushrooms")
if not data.exists():
    skip(f"no {data} (WEFT_DATA names the folder)")

TABLE = {row[0]: row[1:] for row in ROWS if row[0] in
         ("GD", "DIANA-2019", "DIANA-block16", "DIANA-block16-x8", "QSGD11", "TernGrad")}
words = []
for name, (run, *_) in TABLE.items():
    words += ["--run", f"name={name} {run}"]
done = figures("--data", data, "-n", PEERS, "--link", "mem", "--l2", "auto", "--steps", 1400,
               "--every", 2, *words, timeout=280)
problem = done["problem"]
assert abs(problem["fstar"] - FSTAR) < 1e-12, problem
failed = 0
for run in done["runs"]:
    _, _, to_3, to_6, _, _, floor = TABLE[run["name"]]
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
