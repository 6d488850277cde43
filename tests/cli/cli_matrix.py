# SPDX-License-Identifier: Apache-2.0
"""weft bench matrix: the links between peers as table, JSON and file, and who reads that file."""
import json
import math
import os
import pathlib
import re
import signal
import tempfile

from program import WEFT, Running, check, done, wait_until, weft

PAIRS = [(a, b) for a in range(3) for b in range(3) if a != b]
FEW = ("-n", 3, "-i", 8, "--size", "128K")
RATE, LATENCY = r"(\d[\d.e+]*)mbit", r"(\d[\d.e+-]*)us"


def table_of(text, head):
    """The rows of a matrix behind the comment that begins with head."""
    lines = text.splitlines()
    at = [i for i, line in enumerate(lines) if line.startswith(head)][0]
    rows = [line.split() for line in lines[at + 1:at + 5]]
    check(rows[0] == ["from\\to", "0", "1", "2"] and [row[0] for row in rows[1:]] == ["0", "1", "2"], f"ranks {rows}")
    check(all(row[1 + i] == "-" for i, row in enumerate(rows[1:])), f"no link from a peer to itself: {rows}")
    return {(a, b): float(rows[1 + a][1 + b]) for a, b in PAIRS}


with tempfile.TemporaryDirectory() as folder:
    for link in ("mem", "ipc", "tcp"):
        links, figures = f"{folder}/links-{link}.txt", f"{folder}/links-{link}.json"
        ran = weft("bench", "matrix", *FEW, "--link", link, "--out", links, "--json", figures)
        data = json.load(open(figures))
        check(data["peers"] == 3 and data["link"] == link and data["size"] == 128 << 10, "what ran", ran)
        told = {(row["from"], row["to"]): (row["latency_us"], row["rate_mbs"]) for row in data["links"]}
        check(sorted(told) == PAIRS, f"every ordered pair once: {told}", ran)
        check(all(latency > 0 and rate > 0 for latency, rate in told.values()), f"figures {told}", ran)
        check("the other peers wait" in ran.stdout, "it tells that pairs go one after the other", ran)
        for head, which in (("# latency", 0), ("# rate", 1)):
            for pair, value in table_of(ran.stdout, head).items():
                check(abs(value - told[pair][which]) <= 0.051, f"{head} {pair}: {value}, {told[pair]}", ran)
        text = pathlib.Path(links).read_text()
        check("\npeers 3\n" in text, f"the file tells how many: {text}")
        lines = re.findall(rf"^(\d) (\d) {RATE} {LATENCY}$", text, flags=re.M)
        check([(int(a), int(b)) for a, b, _, _ in lines] == PAIRS, f"a line for each pair: {text}")
        for a, b, rate, latency in lines:
            pair = told[int(a), int(b)]
            check(math.isclose(float(rate), pair[1] * 8, rel_tol=1e-5) and
                  math.isclose(float(latency), pair[0], rel_tol=1e-5), f"the figures of {a}, {b}: {text} {pair}")
        # Whoever reads such files takes it.
        weft("bench", "allreduce", "-n", 3, "--link", link, "-b", "64K", "-i", 1, "--algo", "ring",
             env={"WEFT_ORDER": f"links:path={links}"})
        shown = weft("topo", "sim", "ring", "--links", links, "--order", "ring", "-b", "64K")
        check("3 peers" in shown.stdout and "6 directions" in shown.stdout, "the simulation has its links", shown)
    weft("bench", "allreduce", "-n", 2, "-b", "4", env={"WEFT_ORDER": f"links:path={links}"}, status=2,
         says="holds 3 peers, the group 2")
    pathlib.Path(folder, "line.txt").write_text("peers 3\n0 1\n1 2\n")
    line = {"WEFT_TOPOLOGY": f"file:path={folder}/line.txt"}
    weft("bench", "allreduce", "-n", 3, "--link", "mem", "-b", "4", "-i", 1, env=line)
    weft("bench", "matrix", *FEW, "--link", "mem", env=line, status=2, says="no edge")

# The file on stdout, alone; the table then goes to stderr.
ran = weft("bench", "matrix", *FEW, "--link", "mem", "-o", "-", says="# latency")
check(len(re.findall(rf"^\d \d {RATE} {LATENCY}$", ran.stdout, flags=re.M)) == 6 and "from\\to" not in ran.stdout,
      "only the file on stdout", ran)
ran = weft("bench", "matrix", *FEW, "--link", "mem", "--json", "-", says="# latency")
check(len(json.loads(ran.stdout)["links"]) == 6, "JSON on stdout", ran)
# Without -i, by time; and as a peer of a launcher.
weft("bench", "matrix", "-n", 2, "--link", "mem")
ran = weft("run", "-n", 2, "--", WEFT, "bench", "matrix", "-i", 4, "-s", "64K")
check("links between 2 peers, link tcp" in ran.stdout, "below a launcher", ran)

# A peer that is lost while it waits for its turn ends the others, who would wait however long.
running = Running("bench", "matrix", "-n", 3, "-i", 1000000, "-v")
ranks = running.children(3)
wait_until(lambda: all(re.search(rf"\[{rank}\] .* rank 2 .*confirms", running.stderr) for rank in (0, 1)), "all have met")
os.kill(ranks[2], signal.SIGKILL)
running.end(3, says="rank 2: was killed by signal 9")

for words, says in [
    (["-n", 1], "-n 1: links are between 2 peers at least"),
    (["--size", 8], "--size '8': not a size"),
    (["--size", "2G"], "--size '2G': not a size"),
    (["-i", -1], "-i '-1'"),
    (["--codec", "raw"], "unknown option '--codec'; nearest:"),
    (["allreduce"], "unexpected word 'allreduce'"),
    (["--out", "no/such/folder.txt"], "--out no/such/folder.txt: No such file"),
    (["--out", "-", "--json", "-"], "only one can have standard output"),
    (["--json", "no/such/folder.json"], "--json no/such/folder.json: No such file"),
]:
    process = weft("bench", "matrix", *words, status=2, says=says)
    check(process.stdout == "" and process.stderr.count("\n") == 1, "one line, before any table", process)
weft("bench", "-n", 2, "matrix", status=2, says="matrix stands before all options: weft bench matrix")
done()
