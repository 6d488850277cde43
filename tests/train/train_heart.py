# SPDX-License-Identifier: Apache-2.0
"""On heart_scale, 4 real processes: DIANA reaches 1e-9 where TernGrad and QSGD stall."""
from trainer import EXAMPLES, figures, skip, steps_to

data = next((p for p in (EXAMPLES / "heart_scale", EXAMPLES / "heart_scale.gz") if p.exists()), None)
if data is None:
    skip(f"no heart_scale in {EXAMPLES} (Debian: liblinear-tools)")

done = figures(
    "--data", data, "-n", 4, "--link", "tcp", "--l2", "auto", "--steps", 1500, "--every", 5,
    "--run", "name=GD",
    "--run", "name=QSGD optimizer=sgd codec=qsgd:levels=7,bucket=512,norm=2",
    "--run", "name=TernGrad optimizer=sgd codec=qsgd:levels=1,bucket=0,norm=max",
    "--run", "name=DIANA optimizer=diana codec=qsgd:levels=1,bucket=16,norm=max",
    "--run", "name=DIANAx8 optimizer=diana codec=qsgd:levels=1,bucket=16,norm=max lr=theory*8",
    timeout=100,
)
runs = {run["name"]: run for run in done["runs"]}
for name, run in runs.items():
    assert len(set(run["x_crc32c"])) == 1, name
    print(name, run["trace"][-1]["gap"], steps_to(run, 1e-9))
for name in "GD", "DIANA", "DIANAx8":
    assert steps_to(runs[name], 1e-9) is not None, name
for name in "QSGD", "TernGrad":
    late = [p["gap"] for p in runs[name]["trace"] if p["step"] > 750]
    assert min(late) > 1e-7, f"{name} should stall"
bits = {name: next(p["sent_bits"] for p in runs[name]["trace"] if p["gap"] <= 1e-9)
        for name in ("GD", "DIANAx8")}
assert bits["DIANAx8"] < bits["GD"] / 3, bits
