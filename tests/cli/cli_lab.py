# SPDX-License-Identifier: Apache-2.0
"""tools/lab.sh: its refusals; two labs side by side; bench and train between namespaces; how a run ends;
nothing is left behind. Skipped where namespaces cannot be made.

cli_lab.py lab.sh"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from program import LONG, WEFT, check, done, environment, wait_until

script = sys.argv[1]
name, other = f"test{os.getpid()}", f"other{os.getpid()}"
folder = tempfile.TemporaryDirectory()
place = pathlib.Path(folder.name)


def lab(*words, status=0, says=()):
    process = subprocess.run(
        ["sh", script, *map(str, words)], capture_output=True, text=True, timeout=LONG,
        stdin=subprocess.DEVNULL, env=environment(place),
    )
    check(process.returncode == status, f"status {process.returncode}, expected {status}", process)
    for text in [says] if isinstance(says, str) else says:
        check(text in process.stderr, f"stderr does not say: {text}", process)
    return process


def spaces(lab_name):
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return sorted(line.split()[0] for line in listed.splitlines() if line.startswith(f"weft-{lab_name}-"))


def inside():
    """Processes in the lab."""
    return [pid for space in spaces(name)
            for pid in subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True).stdout.split()]


def told_of_link(rank):
    """How many bytes the peer has sent, and how many packets had to wait for the rate."""
    told = json.loads(lab("exec", "--name", name, rank, "tc", "-s", "-j", "qdisc", "show", "dev", "eth0").stdout)
    bucket, = [q for q in told if q["kind"] == "tbf"]
    return bucket["bytes"], bucket["overlimits"]


def refusals():
    lab(status=2, says="expected a command")
    lab("fly", status=2, says="unknown command 'fly'")
    lab("up", "-n", 2, status=2, says="how fast")
    lab("up", "--rate", "1gbit", status=2, says="how many")
    lab("up", "-n", 1, "--rate", "1gbit", status=2, says="-n 1 is not from 2 to 200")
    lab("up", "-n", "2x", "--rate", "1gbit", status=2, says="-n '2x' is no whole number")
    lab("up", "-n", 2, "--rate", "1parsec", status=2, says="--rate '1parsec': expected such as 100mbit")
    lab("up", "-n", 2, "--rate", "1kbit", status=2, says="not from 100kbit to 999gbit")
    lab("up", "-n", 2, "--rate", "1gbit", "--burst", "9", status=2, says="--burst '9': expected such as 32kb")
    lab("up", "-n", 2, "--rate", "1gbit", "--burst", "1kb", status=2, says="--burst 1kb is not from 2000b")
    lab("up", "-n", 2, "--rate", "1gbit", "--latency", "soon", status=2, says="--latency 'soon'")
    lab("up", "-n", 2, "--rate", "1gbit", "--delay", "long", status=2, says="--delay 'long'")
    lab("up", "-n", 2, "--rate", "none", "--burst", "32kb", status=2, says="do not go with --rate none")
    lab("up", "-n", 2, "--rate", status=2, says="--rate: no value")
    lab("up", "-n", 2, "--rate", "1gbit", "--name", "a/b", status=2, says="--name 'a/b'")
    lab("up", "-n", 2, "--rate", "1gbit", "--peer", "1", status=2, says="unknown option --peer")
    check("lab.sh up -n P --rate RATE" in lab("--help").stdout, "the help tells the commands")


def up():
    made = lab("up", "-n", 2, "--rate", "100mbit", "--name", name)
    check("2 peers, 100mbit in both directions, burst 32kb, queue 50ms" in made.stdout, "the default link", made)
    check(spaces(name) == [f"weft-{name}-0", f"weft-{name}-1", f"weft-{name}-hub"], f"namespaces {spaces(name)}")
    lab("up", "-n", 3, "--rate=1gbit", "--name", other)
    lab("up", "-n", 2, "--rate", "10mbit", "--name", other)
    check(len(spaces(other)) == 3, "the old lab of that name is gone")
    lab("down", "--name", other)
    check(not spaces(other) and len(spaces(name)) == 3, "one lab goes, the other stays")
    lab("down", "--name", other, status=1, says=[f"there is no lab '{other}'", name])
    if "netem: no" in made.stdout:
        lab("up", "-n", 2, "--rate", "10mbit", "--delay", "5ms", "--name", other, status=77, says="no netem")
        check(not spaces(other), "a lab that cannot be is not begun")


def programs():
    before = told_of_link(1)
    ran = lab("run", "--name", name, "-n", 2, WEFT, "bench", "allreduce", "-b", "1M", "-i", 3, "-w", 1, "-v", "--json", "-",
              says="10.77.0.2:")
    row, = json.loads(ran.stdout)["rows"]
    check(row["size"] == 1 << 20 and row["out_of_place"]["wrong"] == 0 and row["out_of_place"]["p50_us"] > 0,
          "right results", ran)
    after = told_of_link(1)
    check(after[0] - before[0] >= 4 << 20, f"4 MiB went over the link: {before} {after}")
    check(after[1] > before[1], f"the link was the limit: {before} {after}")
    ran = lab("run", "--name", name, "-n", 2, WEFT, "bench", "matrix", "-i", 4, "-s", "64K", "--json", "-")
    check([link["rate_mbs"] > 0 for link in json.loads(ran.stdout)["links"]] == [True, True], "both directions", ran)
    ran = lab("run", "--name", name, "-n", 2, WEFT, "bench", "tune", "-i", 2, "-e", "16K")
    check(ran.stdout.splitlines()[-1].startswith("round="), "a cost table", ran)
    data = place / "data"
    data.write_text("".join(f"{1 if i % 3 else -1} 1:{i % 5} 2:{i % 7}\n" for i in range(40)))
    ran = lab("run", "--name", name, "-n", 2, WEFT, "train", "--data", data, "--l2", "auto", "--steps", 20)
    check("shards   2 of 20 rows" in ran.stdout, "both took part in the training", ran)
    data.unlink()


def ends():
    lab("run", "--name", name, "-n", 3, "true", status=1, says="has 2 peers")
    lab("run", "--name", name, "-n", 2, "/nowhere/program", status=127, says="no program /nowhere/program")
    ran = lab("run", "--name", name, "-n", 2, "sh", "-c", "echo $WEFT_RANK of $WEFT_SIZE, $LAB_ADDRESS")
    check(ran.stdout == "0 of 2, 10.77.0.1\n" and not ran.stderr, "only the first rank speaks", ran)
    # One fails: the other, which would go on for long, is ended, and what it started too.
    lab("run", "--name", name, "-n", 2, "--grace", 0, "sh", "-c",
        '[ "$WEFT_RANK" = 0 ] || { echo why; exit 7; }; sleep 1000; true', status=7,
        says=["rank 1 ended with status 7", "[1] why"])
    check(not inside(), "processes stay in the lab")
    for number in (signal.SIGINT, signal.SIGTERM):
        running = subprocess.Popen(
            ["sh", script, "run", "--name", name, "-n", "2", "sh", "-c", "sleep 1000; true"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(place),
        )
        wait_until(lambda: len(inside()) == 4, "two shells with a sleep each")
        running.send_signal(number)
        check(running.wait(LONG) == 128 + number, f"status after {number}")
        check(not inside(), "processes stay in the lab")
    check(not list(place.iterdir()), f"left behind: {list(place.iterdir())}")


def others():
    lab("rate", "--name", name, "--peer", 2, "--rate", "1gbit", status=1, says="--peer 2: lab")
    lab("rate", "--name", name, "--peer", 1, "--rate", "20mbit")
    told = lab("status", "--name", name).stdout
    check("peer 0, 10.77.0.1: sends 100Mbit" in told and "peer 1, 10.77.0.2: sends 20Mbit" in told, told)
    check(told.count("payload") == 2, told)
    left = subprocess.Popen(["sh", script, "exec", "--name", name, "1", "sleep", "1000"], env=environment(place))
    wait_until(inside, "a process in the lab")
    lab("up", "-n", 2, "--rate", "1gbit", "--name", name, status=1, says="is in use by processes")
    lab("down", "--name", name)
    check(left.wait(LONG) == -signal.SIGTERM, "down ends what runs in the lab")
    check(not spaces(name), f"namespaces stay: {spaces(name)}")


refusals()
able = subprocess.run(["sh", script, "check"], capture_output=True, text=True, timeout=LONG)
if able.returncode != 0:
    check(able.returncode == 77 and able.stderr, "a reason", able)
    print(f"skipped: {able.stderr.strip()}")
    sys.exit(77)
try:
    up()
    programs()
    ends()
    others()
finally:
    for each in (name, other):
        subprocess.run(["sh", script, "down", "--name", each], capture_output=True)
folder.cleanup()
done()
