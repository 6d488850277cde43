# SPDX-License-Identifier: Apache-2.0
"""Plan files given to the program: the example runs, a wrong one is told by every peer."""
import json
import pathlib
import tempfile

from program import check, done, weft

LINE4 = pathlib.Path(__file__).resolve().parents[2] / "examples/line4.json"

# An inner peer of the row sends two vectors, one at an end one.
SIZE = 64 << 10
for link in ("mem", "tcp"):
    process = weft("bench", "allreduce", "-n", 4, "--link", link, "--algo", f"plan:path={LINE4}", "-b", SIZE, "-i", 2, "--json", "-")
    data = json.loads(process.stdout)
    row = data["rows"][0]
    check(data["wrong"] == 0, "no wrong element", process)
    check(row["algo"].startswith("plan(") and str(LINE4) not in row["algo"], f"a digest is told, no path: {row}", process)
    check((row["body_bytes_sent"], row["body_bytes_sent_max"]) == (1.5 * SIZE, 2 * SIZE), f"bytes sent: {row}", process)

# From the environment, with rules; a codec that decodes is refused, since the plan folds.
environment = {"WEFT_ALGO": f"allreduce:1K-=plan:path={LINE4};ring"}
process = weft("bench", "allreduce", "-n", 4, "--link", "mem", "-b", 512, "-e", "2K", "-f", 2, "-i", 1, "--json", "-", env=environment)
algos = [row["algo"].partition("(")[0] for row in json.loads(process.stdout)["rows"]]
check(algos == ["ring", "plan", "plan"], f"the rules' algorithms: {algos}", process)
weft("bench", "allreduce", "-n", 4, "--link", "mem", "-b", 512, "--algo", f"plan:path={LINE4}", "--codec", "qsgd", status=2,
     says="combines encodings")

# The workbench: proved, drawn, simulated, priced like the built-in ones; a start by export.
process = weft("topo", "verify", f"plan:path={LINE4}", "--json", "-")
proof = json.loads(process.stdout)
check(proof["sizes"] == "4" and proof["failed"] == 0 and proof["plans"] >= 50, f"proved for its size: {proof}", process)
process = weft("topo", "draw", f"plan:path={LINE4}", "-n", 4)
check(" 6 rounds, 12 messages" in process.stdout and "0 -> 3" not in process.stdout, "drawn along the row", process)
rows = json.loads(weft("topo", "sim", f"plan:path={LINE4}", "ring", "-n", 4, "--json", "-").stdout)["rows"]
check(rows[0]["algo"].startswith("plan(") and rows[0]["seconds"] > 0, f"simulated: {rows}")
text = weft("topo", "explain", "allreduce", "-n", 4, "--algo", f"plan:path={LINE4}").stdout
check("runs because it is asked for" in text, text)
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "mine.json"
    process = weft("topo", "export", "ring", "-n", 3, "-o", path)
    check(f"{path}: allreduce of 3 peers, 3 parts, 54 steps, plan(" in process.stdout, "what was written", process)
    weft("bench", "allreduce", "-n", 3, "--link", "mem", "-b", 512, "-i", 1, "--algo", f"plan:path={path}")
    weft("topo", "export", "tree", "-c", "broadcast", "-n", 5, "-r", 3, "-o", path)
    check(json.loads(path.read_text())["root"] == 3, "the root")
weft("topo", "export", "ring", status=2, says="-o FILE is missing")
weft("topo", "export", "rink", "-o", "/tmp/x", status=2, says="no algorithm \"rink\"")
weft("topo", "export", "ring", "-o", "/nowhere/x", status=2, says="/nowhere/x: No such file")
weft("topo", "verify", "plan:path=/nowhere.json", status=2, says="/nowhere.json: No such file")

# Wrong ones.
plan = json.loads(LINE4.read_text())
with tempfile.TemporaryDirectory() as folder:
    def refused(change, says):
        wrong = json.loads(json.dumps(plan))
        change(wrong)
        path = pathlib.Path(folder) / "wrong.json"
        path.write_text(json.dumps(wrong))
        process = weft("bench", "allreduce", "-n", 4, "--link", "tcp", "-b", 512, "--algo", f"plan:path={path}", status=2, says=says)
        check(f"plan file {path}: " in process.stderr, "the file is named", process)

    refused(lambda p: p["ranks"][2][1].update(slot=1), "rank 2, step 1: unknown key \"slot\"")
    refused(lambda p: p["ranks"][1][3].update(to=0), "rank 1 of 4, step 3 (send)")
    refused(lambda p: p["ranks"][3].pop(4), "last written by step")
    refused(lambda p: p["ranks"][0].pop(1), "deadlock: rank 0 of 4 waits at step 2")
weft("bench", "allreduce", "-n", 3, "--link", "mem", "-b", 512, "--algo", f"plan:path={LINE4}", status=2,
     says="is for 4 peers, here are 3")
weft("bench", "allreduce", "-n", 4, "--link", "mem", "-b", 512, "--algo", "plan:path=/nowhere.json", status=2,
     says="/nowhere.json: No such file")
done()
