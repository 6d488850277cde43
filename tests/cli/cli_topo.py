# SPDX-License-Identifier: Apache-2.0
"""weft topo: what it explains and simulates is what peers do; proofs, pictures, words that are wrong."""
import csv
import io
import json
import math
import pathlib
import re
import tempfile
import xml.etree.ElementTree as tree

from program import check, done, weft

PARTS = ("list", "draw", "verify", "sim", "explain", "export")


def data(*words, **more):
    return json.loads(weft("topo", *words, "--json", "-", **more).stdout)


def close(a, b, what, tolerance=1e-9):
    check(math.isclose(a, b, rel_tol=tolerance), f"{what}: {a}, expected {b}")


# Help of the whole and of each part; words that are none.
for part in PARTS:
    check(re.search(rf"^  {part} ", weft("topo", "--help").stdout, flags=re.M), f"--help tells of {part}")
    text = weft("topo", part, "--help")
    check(f"usage: weft topo {part} " in text.stdout and "example:\n  weft topo " + part in text.stdout, f"{part} --help", text)
    example = re.search(r"example:\n  weft (.*)", text.stdout)[1].split()
    weft(*example, "--help")
weft("topo", status=2, says="too few words")
for words, says in [
    (["lisp"], "unknown word 'lisp'; nearest: list"),
    (["list", "--colective", "x"], "nearest: --collective"),
    (["list", "-c", "alreduce"], "unknown collective 'alreduce'; nearest: allreduce"),
    (["explain"], "too few words"),
    (["explain", "alreduce"], "nearest: allreduce"),
    (["explain", "allreduce", "-n", 0], "-n '0'"),
    (["explain", "allreduce", "--codec", "qsdg"], "qsgd"),
    (["explain", "allreduce", "--dtype", "float23"], "float32"),
    (["explain", "allreduce", "--algo", "rink"], "no algorithm \"rink\""),
    (["explain", "allreduce", "--costs", "round=x"], "round"),
    (["explain", "broadcast", "-n", 4, "--root", 4], "root 4"),
    (["explain", "allreduce", "--hosts", "2x"], "not a list of 4 numbers"),
    (["explain", "allreduce", "-n", 5, "--hosts", "2x4"], "--hosts 2x4 is 8 peers, there are 5"),
    (["explain", "allreduce", "-n", 3, "--order", "0,1,1"], "rank 1 at place 2"),
    (["sim", "rink"], "no algorithm \"rink\""),
    (["sim", "ring", "--codec", "qsgd"], "combines encodings"),
    (["sim", "gtopk_tree", "--codec", "topk:values=f16"], "round twice: values=f32"),
    (["sim", "oktopk", "--codec", "threshold"], "codec topk"),
    (["sim", "ring", "--link", "fast"], "not RATE or RATE,LATENCY"),
    (["sim", "ring", "--link", "1gbit,soon"], "not RATE or RATE,LATENCY"),
    (["sim", "ring", "--link", "0"], "not RATE or RATE,LATENCY"),
    (["sim", "ring", "--slow", "8:1mbit"], "rank below 8"),
    (["sim", "ring", "--slow", "3"], "RANK:RATE"),
    (["sim", "ring", "--late", "3:x"], "RANK:SECONDS"),
    (["sim", "ring", "--edge", "1:1:1mbit"], "two ranks below 8"),
    (["sim", "ring", "--edge", "1:2:1mbit", "--edge", "1:2:2mbit"], "rank 1 to 2 is there twice"),
    (["sim", "ring", "--trunk", "1gbit"], "go with --hosts"),
    (["sim", "ring", "--net", "sand=1"], "unknown figure 'sand'; nearest: send"),
    (["sim", "ring", "--net", "send=x"], "not a time like 20us"),
    (["sim", "ring", "--net", "ack=0.9"], "ack_share is 0.9"),
    (["sim", "ring", "--sweep", "1M:1K"], "not FROM:TO"),
    (["sim", "ring", "--sweep", "1K:1G", "--factor", 1.1], "more than 64 sizes"),
    (["sim", "ring", "--sweep", "1K:2K", "--bytes", "1K"], "do not go together"),
    (["sim", "ring", "--json", "-", "--csv", "-"], "do not go together"),
    (["sim", "ring", "--csv", "/no/where.csv"], "/no/where.csv: No such file"),
    (["verify", "-n", "4..2"], "-n '4..2': not a size like 8 or a range like 1..64"),
    (["verify", "-n", "0"], "-n '0'"),
    (["verify", "-n", "1..1025"], "plans of 1024 peers are the most"),
    (["verify", "rink"], "unknown algorithm 'rink'; nearest: ring"),
    (["draw", "rink"], "no algorithm \"rink\""),
    (["draw", "ring", "-o", "ring.png"], "must end in .svg"),
    (["draw", "ring", "-n", 129], "more than 128"),
    (["draw", "hypercube", "-n", 6], "hypercube"),
    (["draw", "kary", "--topology", "ring"], "no algorithm \"kary\""),
    (["draw", "star", "--topology", "ring"], "star is a topology, and so is --topology"),
    (["draw", "-n", 4], "neither ALGO nor --topology is given"),
    (["draw", "graph", "--topology", "rink"], "rink"),
    (["draw", "graph"], "needs a topology"),
    (["sim", "ring", "--topology", "star"], "no neighbours in the topology"),
    (["sim", "ring", "--links", "/no/where"], "/no/where"),
    (["sim", "ring", "--order", "ring"], "worked out from --links"),
    (["draw", "ring", "-o", "/no/where.svg"], "/no/where.svg: No such file"),
]:
    process = weft("topo", *words, status=2, says=says)
    check(process.stdout == "", "nothing on stdout", process)

# list: every algorithm that weft info has, with its needs.
listed = data("list")["algorithms"]
known = json.loads(weft("info", "algorithms", "--json", "-").stdout)["algorithms"]
check([(a["collective"], a["name"]) for a in listed] == [(a["scope"], a["name"]) for a in known], "all are listed")
check(all(a["needs"] and a["cost"] and a["summary"] for a in listed), f"needs and costs: {listed}")
needs = {(a["collective"], a["name"]): a["needs"] for a in listed}
check({"encodings that merge", "any codec"} <= {a["needs"] for a in listed}, "needs differ")
text = weft("topo", "list", "-c", "broadcast").stdout
check("broadcast" in text and "allreduce" not in text, "one collective alone")
text = weft("topo", "list").stdout
check(max(map(len, text.splitlines())) <= 100, "in 100 columns")
words = " ".join(text.split())
for member in listed + data("list")["topologies"]:
    told = f" {member['name']} {member['summary']} " + " ".join(filter(None, [
        "cost: " * ("needs" in member) + member["cost"],
        "needs: " * ("needs" in member) + member.get("needs", ""),
        "SPEC: " * bool(member["params"]) + ", ".join(f"{member['name']}:{p['key']}=" for p in member["params"][:1]),
    ]))
    check(told.strip() in words, f"list tells all of {member['name']}: {told}")
    check(all(f"{p['key']}={p['default']} (" in words for p in member["params"]), f"parameters of {member['name']}")
for name in {a["collective"] for a in listed} | {"topologies"}:
    check(text.count(f"\n{name}\n") + text.startswith(name + "\n") == 1, f"one heading {name}")

# explain and sim say what peers do: algorithm, lanes, bytes of bodies.
for codec in ("raw", "qsgd:levels=1,bucket=64"):
    for peers in (2, 3, 5):
        rows = json.loads(weft("bench", "allreduce", "-n", peers, "--link", "mem", "-b", 4, "-e", "4M", "-f", 32, "-i", 1,
                               "-w", 0, "--codec", codec, "--json", "-").stdout)["rows"]
        check(len(rows) == 5, f"sizes {rows}")
        for row in rows:
            words = ("-n", peers, "--bytes", row["size"], "--codec", codec)
            said = data("explain", "allreduce", *words)
            chosen = next(c for c in said["candidates"] if c.get("chosen"))
            check(said["count"] == row["count"] and said["chosen"] == row["algo"] == chosen["algo"], f"{said}, {row}")
            check(chosen["lanes"] == row["lanes"], f"lanes: {chosen}, {row}")
            ran = data("sim", "auto", *words)["rows"][0]
            check((ran["algo"], ran["lanes"]) == (row["algo"], row["lanes"]), f"{ran}, {row}")
            check(ran["body_bytes_sent_max"] == row["body_bytes_sent_max"], f"bytes: {ran}, {row}")

# explain: fitting candidates by price, the parts of a price, another table.
said = data("explain", "allreduce", "-n", 8, "-b", "1M", "--codec", "qsgd")
fits = [c for c in said["candidates"] if c["fits"] and not c["named"]]
check(fits == sorted(fits, key=lambda c: c["seconds"]) and fits[0]["chosen"], "the cheapest first, and taken")
for c in fits:
    close(c["round_s"] + c["message_s"] + c["byte_s"] + c["reduce_s"], c["seconds"], f"parts of {c['algo']}")
check(any("codec" in c["why_not"] for c in said["candidates"] if not c["fits"]), "who cannot says why")
process = weft("topo", "explain", "allreduce", "-n", 8, "-b", "1M", "--codec", "qsgd")
check(f"\n{fits[0]['algo']} runs: with " in process.stdout and "ring cannot serve: it combines" in process.stdout, "words", process)
process = weft("topo", "explain", "allreduce", "--codec", "qsgd", "--algo", "ring", "--json", "-", status=2)
check(json.loads(process.stdout)["chosen"] is None and "nothing runs" in process.stderr, "nothing else instead", process)
# What a call refuses, explain refuses in the same words.
for algo, codec, why in (("gtopk_butterfly", "topk:values=f16", "round twice: values=f32"), ("oktopk", "threshold", "codec topk")):
    process = weft("topo", "explain", "allreduce", "--codec", codec, "--algo", algo, status=2)
    check(why in process.stdout + process.stderr, f"explain: {algo} with {codec}", process)
    weft("bench", "allreduce", "-n", 2, "-b", "4K", "--codec", codec, "--algo", algo, status=2, says=why)
# Sums are encoded again where the call has what that takes.
again = ("-n", 4, "-b", "64K", "--codec", "minmax8", "--fidelity", "requantized", "--costs", "round=0,message=1e-9,incast=1")
check(data("explain", "allreduce", *again, "--residual")["chosen"] == "ring_requant", "with a residual")
check(data("explain", "allreduce", *again)["chosen"] == "scatter", "a biased codec without a residual")
check(data("explain", "allreduce", *again, "--residual", "--own")["chosen"] == "scatter", "own asked for")
# Where a codec is worth it: at the link that is told both take as long, each by what runs there.
def worth(*words):
    process = weft("topo", "explain", "allreduce", *words, "--json", "-")
    told = json.loads(process.stdout)["worth"]
    rate = re.search(r"dense is faster on links of more than about (\S+) (\S)bit/s\.$", process.stderr, flags=re.M)
    check((told["dense_wins"] == "above") == (rate is not None) == (told["link"] is not None), f"words and figure of {words}", process)
    if rate is not None:
        digits = float(rate[1]) * {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[rate[2]]
        check(digits == float(f"{told['link'] * 8:.1e}"), f"two digits of {told['link'] * 8}", process)
    return told


def takes(words, codec, link):
    said = data("explain", "allreduce", *words, *codec, "--costs", f"round=2e-4,byte={1 / link:.17g}")
    return next(c["seconds"] for c in said["candidates"] if c.get("chosen"))


found = 0
for codec in ("qsgd:levels=1", "minmax8"):
    for words in (("-n", 2, "-b", "64K"), ("-n", 4, "-b", "1M"), ("-n", 8, "-b", "2M"), ("-n", 8, "-b", "8M", "--hosts", "2x4")):
        told = worth(*words, "--codec", codec, "--costs", "round=2e-4,byte=1e-6")
        coding = told["encode_s"] + told["decode_s"]
        check(told["encode_s"] > 0 and told["decode_s"] > 0 and told["dense_wins"] in ("above", "nowhere"), f"{codec} {words}: {told}")
        link = told["link"] or 1e15
        at = {x: (takes(words, (), x * link), takes(words, ("--codec", codec), x * link) + coding) for x in (0.5, 1, 2)}
        check(at[0.5][0] > at[0.5][1], f"slower links: {codec} {words} {at}")
        if told["link"] is None:
            check(at[2][0] > at[2][1], f"on no link: {codec} {words} {at}")
        else:
            close(at[1][0], at[1][1], f"dense and {codec} {words} at the link", tolerance=1e-6)
            check(at[2][0] < at[2][1], f"faster links: {codec} {words} {at}")
            found += 1
check(found >= 2, "with two peers flat runs with codec and without")
# Like calls have like figures, whatever runs on the link of the cost table.
figures = [
    worth("-n", 12, "-b", size, "--codec", "minmax8", "--costs", f"byte={byte}")["link"]
    for size in ("2M", "3M", "4M", "5M") for byte in (1e-9, 1e-6)
]
check(None not in figures and max(figures) < 8 * min(figures), f"like calls: {figures}")
check(data("explain", "allreduce", "-n", 8)["worth"] is None, "dense has nothing to compare")
check(worth("-n", 8, "-b", "1M", "--codec", "topk:density=1,index=plain")["dense_wins"] == "everywhere", "more bytes")
process = weft("topo", "explain", "allreduce", "-n", 8, "-b", "16M", "--algo", "doubling")
check("doubling runs because it is asked for" in process.stdout and "would be the cheapest" in process.stdout, "asked for", process)
check(data("explain", "allreduce", "-n", 8, "-b", "1M", "--costs", "round=1")["chosen"] != "ring", "dear rounds")
check(data("explain", "allreduce", "-n", 8, "-b", "1M", "--costs", "round=0,message=0,byte=1,incast=1")["chosen"] == "ring", "dear bytes")

# sim: closed forms where only the link counts.
BARE = "overhead=0,ack=0,incast=0,switch=0,frame=0,send=0,receive=0,handoff=0,pack=0,merge=0,unpack=0"
SIZE, RATE = 1 << 20, 1e9 / 8
for peers in (2, 4, 8):
    rows = data("sim", "ring", "doubling", "-n", peers, "-b", SIZE, "--lane", "1G", "--link", "1gbit,1ms", "--net", BARE)["rows"]
    close(rows[0]["seconds"], 2 * (peers - 1) * (SIZE / peers / RATE + 1e-3), f"ring of {peers}")
    close(rows[1]["seconds"], math.log2(peers) * (SIZE / RATE + 1e-3), f"doubling of {peers}")
    for row in rows:
        close(row["algbw_gbs"], SIZE / row["seconds"] / 1e9, "algbw")
        close(row["busbw_gbs"], row["algbw_gbs"] * 2 * (peers - 1) / peers, "busbw")
        close(row["bound_share"], row["busbw_gbs"] * 1e9 / RATE, "share of the bound")
        check(len(row["finish_s"]) == peers and max(row["finish_s"]) == row["seconds"] and min(row["finish_s"]) == row["first_s"], "ends")
        check(row["busiest"].startswith("up of rank ") and 0 < row["busiest_share"] <= 1 + 1e-9, f"busiest {row}")
bare = ("sim", "ring", "-n", 8, "-b", SIZE, "--lane", "1G", "--link", "1gbit", "--net", BARE)
alone = data(*bare)["rows"][0]
close(data(*bare, "--slow", "3:10mbit")["rows"][0]["seconds"], 100 * alone["seconds"], "a slow peer slows the ring")
late = data(*bare, "--late", "2:500ms")["rows"][0]
check(0.5 + alone["seconds"] / 2 < late["seconds"] <= 0.5 + alone["seconds"] + 1e-9, f"a late peer: {late}")
close(data(*bare, "--edge", "0:1:100mbit")["rows"][0]["seconds"], 10 * alone["seconds"], "a slow edge")
net = data("sim", "doubling", "--hosts", "2x4", "-b", SIZE, "--lane", "1G", "--link", "1gbit", "--local", "100gbit", "--trunk", "1gbit", "--net", BARE)
close(net["rows"][0]["seconds"], 4 * SIZE / RATE + 2 * SIZE / (100 * RATE), "four streams share a trunk")
check(net["peers"] == 8 and net["rows"][0]["busiest"] == "up of host 0" and net["network"]["trunk"] == RATE, f"trunk: {net}")
check(net["network"]["send"] == 0 and net["network"]["segment"] == 1448, f"every figure is told: {net['network']}")

# Rates of a topology's edges, of a matrix, and an order worked out from it.
with tempfile.TemporaryDirectory() as folder:
    chain, matrix = folder + "/chain.txt", folder + "/links.txt"
    pathlib.Path(chain).write_text("0 1 1gbit 1ms\n1 2 100mbit\n")
    net = data("sim", "graph", "-c", "broadcast", "--topology", "file:path=" + chain, "-b", SIZE, "--lane", "1G", "--net", BARE)
    close(net["rows"][0]["seconds"], SIZE / RATE + 1e-3 + 10 * SIZE / RATE, "along a chain")
    check(net["peers"] == 3 and net["topology"] == f"file:path={chain}" and net["network"]["rate"] == 0, f"{net}")
    # Peers 0, 2 and 1, 3 are near each other: in their own order every hop of the ring is slow.
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b]
    pathlib.Path(matrix).write_text("".join(f"{a} {b} {'1gbit' if (a - b) % 2 == 0 else '100mbit'} 0\n" for a, b in pairs))
    ring = ("sim", "ring", "--links", matrix, "-b", SIZE, "--lane", "1G", "--net", BARE)
    own, found = data(*ring)["rows"][0], data(*ring, "--order", "ring")["rows"][0]
    close(own["seconds"], 6 * SIZE / 4 / (RATE / 10), "slow hops all the way")
    check(found["seconds"] <= own["seconds"] * (1 + 1e-9), f"not slower: {own} {found}")
    close(data(*ring, "--order", "0,2,1,3")["rows"][0]["seconds"], own["seconds"], "two slow hops are as slow")
    weft("topo", "sim", "ring", "--links", matrix, "-n", 5, status=2, says="has 4 peers, -n says 5")

# A sweep, as text, JSON and CSV; twice the same.
words = ("sim", "auto", "scatter", "-n", 4, "--sweep", "1K:1M", "--factor", 32, "--link", "100mbit,50us", "--burst", "32K")
with tempfile.TemporaryDirectory() as folder:
    rows = data(*words, "--csv", folder + "/sweep.csv")["rows"]
    table = list(csv.DictReader(io.StringIO(pathlib.Path(folder, "sweep.csv").read_text())))
check([row["bytes"] for row in rows] == [1024, 1024, 32768, 32768, 1 << 20, 1 << 20], f"sizes {rows}")
check(len(table) == len(rows), "a line of CSV for each")
for row, line in zip(rows, table):
    for key in ("algo", "bytes", "count", "lanes", "seconds", "bound_share", "messages", "wire_bytes", "busiest"):
        check(str(row[key]) == line[key] or float(row[key]) == float(line[key]), f"{key}: {row}, {line}")
check(weft("topo", *words, "--csv", "-").stdout == weft("topo", *words, "--csv", "-").stdout, "deterministic")
check(weft("topo", *words).stdout.count("scatter") >= 3, "a row for each in the text")
check(data("sim", "auto", "-c", "barrier", "-n", 100)["rows"][0]["body_bytes"] == 0, "a barrier has no bytes")
check(data("sim", "auto", "-c", "allgather", "-n", 4, "-b", 1 << 16)["rows"][0]["count"] == 1 << 12, "blocks share the size")

# verify: everything, and what is asked for.
process = weft("topo", "verify", "-n", "1..9")
check(re.search(r"^# -n 1\.\.9: \d+ plans of \d+ shapes proved, \d+ messages; price = count in all; 0 failures$", process.stdout, flags=re.M), "total", process)
proof = data("verify", "-n", "1..9")
check([(r["collective"], r["algorithm"]) for r in proof["rows"]] == [(a["scope"], a["name"]) for a in known], "a row for each")
check(proof["failed"] == 0 and proof["failures"] == [], f"failures {proof['failures']}")
for key in ("plans", "shapes", "messages", "failed"):
    check(sum(row[key] for row in proof["rows"]) == proof[key], f"the sum of {key}")
check(all(row["shapes"] > 0 or row["refused"] > 0 for row in proof["rows"]), "none is passed over")
one = data("verify", "ring", "-n", 5, "-c", "allreduce", "-j", 1)
check([r["algorithm"] for r in one["rows"]] == ["ring"] and one["rows"][0]["plans"] % 5 == 0 and one["rows"][0]["plans"] > 0, f"one: {one}")
check({r["algorithm"] for r in data("verify", "ring", "-n", 3)["rows"]} == {"ring"}, "of every collective")

# A plan of the user's own is drawn, simulated and proved like the others.
line = "plan:path=" + str(pathlib.Path(__file__).resolve().parents[2] / "examples/line4.json")
one = data("verify", line)
check(one["sizes"] == "4" and one["failed"] == 0 and one["rows"][0]["plans"] >= 52 and one["rows"][0]["refused"] == 0, f"a file: {one}")
check(data("draw", line, "-n", 4)["rounds"] == 6, "six rounds")
close(data("sim", line, "-n", 4, "-b", SIZE, "--lane", "1G", "--link", "1gbit", "--net", BARE)["rows"][0]["seconds"], 3 * SIZE / RATE, "half a vector in each")
weft("topo", "verify", line, "-n", 5, status=2, says="the plan is for 4 peers, -n says 5")
with tempfile.TemporaryDirectory() as folder:
    wrong = json.loads(pathlib.Path(line[10:]).read_text())
    wrong["ranks"][0].pop(1)
    pathlib.Path(folder, "wrong.json").write_text(json.dumps(wrong))
    weft("topo", "verify", f"plan:path={folder}/wrong.json", status=2, says="deadlock: rank 0 of 4")
weft("topo", "verify", "plan:path=/no/where", status=2, says="/no/where")

# draw: a message of the plan is an arrow of the picture, a line of the words, an entry of the JSON.
SVG = "{http://www.w3.org/2000/svg}"
with tempfile.TemporaryDirectory() as folder:
    path = folder + "/picture.svg"
    for algo in known:
        for peers in (1, 2, 6, 17):
            along = ["--topology", "ring"] if "topology" in needs[algo["scope"], algo["name"]] else []
            lossy = any(word in needs[algo["scope"], algo["name"]] for word in ("levels", "lose"))
            along += ["--codec", "qsgd"] if lossy else []
            words = ("draw", algo["name"], "-c", algo["scope"], "-n", peers, *along)
            status = weft("topo", *words, status=None)
            if status.returncode == 2:
                check("needs" in status.stderr, "refused with a reason", status)
                continue
            check(status.returncode == 0, "drawn in words", status)
            drawn = data(*words, "-o", path)
            lines = re.findall(r"^ +(\d+) -> (\d+)", status.stdout, flags=re.M)
            check([(str(m["from"]), str(m["to"])) for m in drawn["messages"]] == lines, f"words of {words}")
            root = tree.parse(path).getroot()
            arrows = [p for p in root.iter(SVG + "path") if "C" in p.get("d", "") and "v" not in p.get("d")]
            parts = sum(min(len(m["parts"]), 4) for m in drawn["messages"])
            check(len(arrows) >= parts or drawn["rounds"] > 34, f"{len(arrows)} arrows for {parts} parts: {words}")
            title = root.find(SVG + "title").text
            check(title == f"{algo['scope']} · {drawn['algo']} · {peers} peer{'s' if peers > 1 else ''}" + (" · along ring" if "ring" in along else ""), title)
            check(all(1 <= m["round"] <= drawn["rounds"] and 0 <= m["from"] < peers for m in drawn["messages"]), "rounds")
    for spec, edges, degree in (("ring", 9, (2, 2)), ("star", 8, (1, 8)), ("torus", 18, (4, 4)), ("complete", 36, (8, 8))):
        graph = data("draw", "--topology", spec, "-n", 9, "-o", path)
        check((len(graph["edges"]), graph["degree_min"], graph["degree_max"]) == (edges, *degree), f"{spec}: {graph}")
        check(0 < graph["spectral_gap"] <= 1 and all(a < b < 9 for a, b in graph["edges"]), f"{spec}: {graph}")
        title = tree.parse(path).getroot().find(SVG + "title").text
        check(title == graph["topology"], title)
    check(data("draw", "star", "-n", 9) == data("draw", "--topology", "star", "-n", 9), "a topology by its name")
    before = pathlib.Path(path).read_text()
    data("draw", "--topology", spec, "-n", 9, "-o", path)
    check(pathlib.Path(path).read_text() == before, "the same picture again")
done()
