# SPDX-License-Identifier: Apache-2.0
"""Command lines: help, wrong words with the nearest right one, ranges, exit statuses."""
import pathlib
import re
import subprocess

from program import check, done, weft

COMMANDS = ["run", "train", "bench", "call", "codec", "topo", "info"]

# Without anything and with help.
plain = weft(status=2)
check("usage: weft COMMAND" in plain.stderr and plain.stdout == "", "no command: usage on stderr", plain)
top = weft("--help")
for command in COMMANDS:
    check(re.search(rf"^  {command} ", top.stdout, flags=re.M), f"--help lists {command}", top)
    text = weft(command, "--help")
    for part in (f"usage: weft {command} ", "options:", "--help", "example:\n  weft " + command):
        check(part in text.stdout, f"{command} --help has '{part}'", text)
    check(text.stderr == "", f"{command} --help is silent on stderr", text)
    check(weft(command, "-h").stdout == text.stdout, f"{command} -h is --help")
check(re.fullmatch(r"weft \d+\.\d+\.\d+\n", weft("--version").stdout), "--version")
check("(default tcp)" in weft("bench", "--help").stdout, "defaults are shown")

# The example of each --help is a command line that parses: help behind it is help, not a refusal.
for command in ("bench", "bench matrix", "bench tune", "call", "codec", "train"):
    example = re.search(r"example:\n  weft (.*)", weft(*command.split(), "--help").stdout)[1].replace("'", "").split()
    weft(*example, "--help")

# Wrong words name the nearest right one.
for words, says in [
    (["bensh"], "nearest: bench"),
    (["trian"], "nearest: train"),
    (["--hlep"], "--help and --version"),
    (["bench", "allreduce", "--codek", "raw"], "nearest: --codec"),
    (["bench", "allreduce", "--codek=raw"], "nearest: --codec"),
    (["bench", "allreduce", "--time", "3"], "nearest: --timeout"),
    (["bench", "allreduce", "-x"], "unknown option '-x'"),
    (["bench", "alreduce"], "nearest: allreduce"),
    (["call", "broadcats"], "nearest: broadcast"),
    (["bench", "allreduce", "--link", "tpc"], "nearest: tcp"),
    (["bench", "allreduce", "--dtype", "float23"], "nearest: float32"),
    (["bench", "allreduce", "--dtype", "float8"], "int8|uint8|int16|uint16"),
    (["bench", "allreduce", "--op", "user"], "sum|mean|prod|min|max|and|or|xor"),
    (["bench", "allreduce", "--codec", "qsdg"], "qsgd"),
    (["bench", "allreduce", "--codec", "qsgd:level=3"], "levels"),
    (["bench", "allreduce", "--codec", "qsgd:levels=0"], "levels"),
    (["info", "--markdwon"], "nearest: --markdown"),
    (["run", "--pears", "3", "--", "true"], "nearest: --peers"),
]:
    process = weft(*words, status=2, says=says)
    check(process.stdout == "", "nothing on stdout", process)

# Numbers and sizes outside their range, missing values and words.
for words, says in [
    (["bench", "allreduce", "-n", "0"], "-n '0': not a whole number in 1 … 1024"),
    (["bench", "allreduce", "--peers", "0"], "--peers '0': not a whole number in 1 … 1024"),
    (["bench", "allreduce", "-n", "3.5"], "-n '3.5'"),
    (["bench", "allreduce", "-n", " 3"], "-n ' 3'"),
    (["bench", "allreduce", "-n"], "-n needs N"),
    (["bench", "allreduce", "-b", "4Q"], "-b '4Q'"),
    (["bench", "allreduce", "-b", "-4"], "-b '-4'"),
    (["bench", "allreduce", "-b", "99999999999999999999"], "-b '9"),
    (["bench", "allreduce", "-f", "1"], "-f '1'"),
    (["bench", "allreduce", "--timeout", "nan"], "--timeout 'nan'"),
    (["bench", "allreduce", "--inplace=yes"], "takes no value"),
    (["bench", "allreduce", "-n", "2", "-n", "3"], "given twice"),
    (["bench", "allreduce", "-b", "2M", "-e", "1M"], "above"),
    (["bench"], "too few words"),
    (["bench", "allreduce", "broadcast"], "unexpected word 'broadcast'"),
    (["bench", "barrier", "-b", "4"], "no size"),
    (["bench", "broadcast", "--inplace"], "no other way"),
    (["bench", "broadcast", "-n", "2", "-r", "2"], "not among 2 peers"),
    (["bench", "allreduce", "--codec", "qsgd", "--op", "max"], "sum and mean"),
    (["bench", "allreduce", "--codec", "qsgd", "--dtype", "int8"], "float32"),
    (["bench", "allgather", "--codec", "qsgd"], "allreduce only"),
    (["bench", "allreduce", "--rss", "--link", "mem"], "a process a peer"),
    (["bench", "allreduce", "-n", "2", "-e", "1K", "--algo", "rnig"], "ring"),
    (["bench", "allreduce", "--algo", "rnig"], "--algo 'rnig' is no algorithm of allreduce; nearest: ring"),
    (["bench", "allgather", "--algo", "torus"], "is no algorithm of allgather"),
    (["bench", "allreduce", "--algo", "tree:arity=0"], "arity: 0 is out of range (1 to 16)"),
    (["bench", "allreduce", "--algo", "tree:rows=2"], 'unknown key "rows"; valid keys: arity'),
    (["call", "broadcast", "--in", "x", "--out", "y%d", "--algo", "ring"], "is no algorithm of broadcast; nearest: auto (there are auto, tree, chain"),
    (["bench", "allreduce", "--codec", "qsgd", "--algo", "ring"], "algorithm ring combines encodings"),
    (["bench", "allreduce", "--codec", "qsgd", "--algo", "doubling"], "algorithm doubling combines encodings"),
    (["bench", "allreduce", "--op", "mean", "--dtype", "int32"], "there is no operation mean of int32"),
    (["call", "allreduce", "--op", "mean", "--dtype", "int32", "--in", "x", "--out", "y%d"], "there is no operation mean of int32"),
    (["bench", "barrier", "-o", "sum"], "-o: barrier reduces nothing"),
    (["bench", "broadcast", "--op", "sum"], "--op: broadcast reduces nothing"),
    (["bench", "allreduce", "-r", "0"], "-r: allreduce has no root"),
    (["call", "allgather", "--op", "sum", "--in", "x", "--out", "y%d"], "--op: allgather reduces nothing"),
    (["call", "allgather", "--root", "0", "--in", "x", "--out", "y%d"], "--root: allgather has no root"),
    (["call", "allreduce", "--in", "x"], "allreduce needs --out PATTERN"),
    (["call", "allreduce"], "allreduce needs --in PATTERN"),
    (["bench", "allreduce", "--json", "no/such/folder.json"], "--json no/such/folder.json: No such file"),
    (["run", "-n", "2"], "too few words"),
]:
    process = weft(*words, status=2, says=says)
    check(process.stdout == "" and process.stderr.count("\n") == 1, "one line, before any table", process)

# Values attached or apart, sizes with units.
for words in (["-n2", "-b4K", "-e4K"], ["-n", "2", "-b", "4K", "-e", "4K"], ["--peers=2", "--begin=4096", "--end=4KiB"]):
    table = weft("bench", "allreduce", *words, "-i", "1", "--link", "mem")
    check(re.search(r"^ +4096 +1024 +float32 +sum ", table.stdout, flags=re.M), f"{words}: one row of 4096", table)

# The demo prints its command so that a shell takes it again, word for word.
script = (pathlib.Path(__file__).parents[2] / "tools/demo.sh").read_text()
show = re.search(r"^show\(\) \{\n.*?^\}\n", script, flags=re.M | re.S)[0]
words = ["name=GD optimizer=gd", "it's", "", "a*b", "x\\y", "$HOME", "plain=1,2"]
first = subprocess.run(["sh", "-c", show + 'show "$@"', "sh", "printf", "<%s>", *words], capture_output=True, text=True, check=True)
again = subprocess.run(["sh", "-c", first.stderr], capture_output=True, text=True, check=True)
check(first.stdout == again.stdout == "".join(f"<{word}>" for word in words), f"printed: {first.stderr}", again)
done()
