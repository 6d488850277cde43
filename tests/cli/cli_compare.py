# SPDX-License-Identifier: Apache-2.0
"""tools/compare/compare.py: its help, its refusals, what it makes of times that are known, its word where a
rival is missing; a short run against each rival that is built.

cli_compare.py compare.py PROGRAM...    the rivals' programs"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from program import LONG, WEFT, check, children, done, environment, wait_until

script, programs = sys.argv[1], [pathlib.Path(p) for p in sys.argv[2:]]
scratch = tempfile.TemporaryDirectory()
place = pathlib.Path(scratch.name)


def run(*words, status, says=(), weft=WEFT):
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.run(
            [sys.executable, "-B", script, "--weft", str(weft), *map(str, words)], capture_output=True, text=True,
            timeout=2 * LONG, stdin=subprocess.DEVNULL, env=environment(folder, PLACE=place),
        )
        check(process.returncode == status, f"status {process.returncode}, expected {status}", process)
        for text in [says] if isinstance(says, str) else says:
            check(text in process.stderr, f"stderr does not say: {text}", process)
        check(not list(pathlib.Path(folder).iterdir()), "something left behind", process)
    return process


def program(name, text):
    path = place / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def refusals():
    check("--rounds" in run("--help", status=0).stdout, "the help tells the options")
    run("--sizes", "4Q", status=2, says="'4Q' is no size")
    run("--peers", "1", status=2, says="'1' is no whole number from 2 to 1024")
    run("--peers", "2,x", status=2, says="'x' is no whole number from 2 to 1024")
    run("--timeout", "soon", status=2, says="'soon' is no number from 1 to 1e+06")
    run("--resume", status=2, says="--resume needs --json FILE")
    run("--lab", "a", "--link", "ipc", status=2, says="--link ipc does not lead through a lab")
    run("--lab", "a/b", status=2, says="--lab 'a/b' is no name of a lab")
    run("--against", "nccl", status=2, says="unknown rival 'nccl'; known: gloo openmpi openmpi-tcp mpich zmq")
    run("--programs", programs[0].parent, "--against", "zmq", "-n", "2,4", status=2, says="zmq is between 2 processes: compare with -n 2 only")
    run("--programs", "/nowhere", "--against", "zmq", "-n", 2, status=77, says="skipped: no /nowhere/zmq_roundtrip")
    run("--programs", "/nowhere", status=77, says=["skipped: no /nowhere/gloo_allreduce", "Gloo (libgloo-dev)"])
    run("--programs", "/nowhere", "--against", "mpich", status=77, says=["skipped: no /nowhere/mpi_allreduce_mpich", "libmpich-dev"])


# Programs that say what they took: weft 50 us; Gloo's variants fast, slow, one that fails, one that hangs, and
# one that fails in every second run.
FAKE_WEFT = """[ "$1" != --version ] || exec echo fake
echo '{"rows": [{"algo": "made_up", "out_of_place": {"p50_us": 50, "min_us": 40}}]}'
"""
FAKE_GLOO = """row() { echo '{"algo": "x", "p50_us": '$1', "min_us": 1, "wrong": 0}'; }
case "$*" in
--list) echo fast slow broken hung moody ;;
*fast*) row 100 ;;
*slow*) row 1000 ;;
*broken*) echo 'cannot do that' >&2; exit 3 ;;
*hung*) sleep 1000; true ;;
*) if mkdir "$PLACE/moody" 2>/dev/null; then row 75; else rmdir "$PLACE/moody"; echo 'not now' >&2; exit 3; fi ;;
esac
"""


def known_times():
    weft = program("weft", FAKE_WEFT)
    program("gloo_allreduce", FAKE_GLOO)
    given = ("--programs", place, "-n", 2, "-s", "1K")
    run(*given, "--against", "gloo:fast+fast", status=2, says="'fast' of gloo", weft=weft)
    run(*given, "--against", "gloo:faster", status=2, says="expected one or more of fast slow broken hung moody", weft=weft)
    run(*given, "--against", "gloo,gloo", status=2, says="named twice", weft=weft)
    ran = run(*given, "--against", "gloo:fast+slow+broken", "-r", 3, "--prune", 5, "--json", "-", status=0, weft=weft,
              says=["geometric mean 2.00 (2 peers 2.00); least 2.00 (2 peers, 1K)", "gloo broken left out: status 3: cannot do that",
                    "gloo slow left out: 10.0 times the best in the first round"])
    case, = json.loads(ran.stdout)["cases"]
    check(case["judged"]["gloo"]["ratios"] == [2, 2, 2] and case["judged"]["gloo"]["best"] == "fast", "the ratio", ran)
    check(case["judged"]["weft"]["p50_us"] == 50 and len(case["runs"]["weft"]["weft"]) == 3, "the rounds of weft", ran)
    check(list(case["runs"]["gloo"]["slow"]) == ["0"], "what was left out did not run again", ran)
    # What fails now and then keeps the rounds in which it worked.
    ran = run(*given, "--against", "gloo:fast+moody", "-r", 2, "--json", "-", status=0, weft=weft,
              says="gloo moody failed in round 2: status 3: not now")
    check(json.loads(ran.stdout)["cases"][0]["judged"]["gloo"]["best"] == "moody", "its round counts", ran)
    ran = run(*given, "--against", "gloo:hung+fast", "-r", 1, "--timeout", 1, status=0, weft=weft)
    check("gloo hung left out: no end within 1 s" in ran.stdout, "a program that hangs is ended", ran)
    # Interrupted and taken up again: what is there is not measured anew, other cases stay.
    file = place / "kept.json"
    given = ("--programs", place, "-n", 2, "--json", file, "--resume", "--against", "gloo:fast")
    run(*given, "-s", "1K", "-r", 1, status=0, weft=weft)
    ran = run(*given, "-s", "4K,1K", "-r", 2, status=0, weft=weft)
    check(ran.stderr.count("round 1 of 2, 2 peers, 1K") == 0 and ran.stderr.count("2 peers, 4K, weft") == 2, "only what lacks", ran)
    run(*given, "-s", "16K", "-r", 1, status=0, weft=weft)
    check([(c["size"], len(c["runs"]["weft"]["weft"])) for c in json.loads(file.read_text())["cases"]]
          == [(16384, 1), (1024, 2), (4096, 2)], "all cases are kept", ran)
    run(*given, "-s", "1K", "-i", 7, status=2, says="other setting", weft=weft)
    file.write_text("{}")
    run(*given, "-s", "1K", status=2, says="no results of compare.py", weft=weft)
    # weft itself fails.
    broken = program("broken", "[ \"$1\" != --version ] || exec echo fake\necho 'rank 1 is lost' >&2; exit 3\n")
    ran = run("--programs", place, "-n", 2, "-s", "1K", "-r", 1, "--against", "gloo:fast", status=1, weft=broken)
    check("weft left out: status 3: rank 1 is lost" in ran.stdout and "nothing to compare" in ran.stdout, "the reason", ran)


def rivals_here():
    """Each rival that is built and can be started, over three processes."""
    built = {path.name for path in programs}
    found = ["gloo:allreduce_ring"] if "gloo_allreduce" in built else []
    if "mpi_allreduce_openmpi" in built and shutil.which("mpiexec.openmpi"):
        found += ["openmpi", "openmpi-tcp"]
    if "mpi_allreduce_mpich" in built and shutil.which("mpiexec.mpich"):
        found += ["mpich"]
    if not found:
        run(status=77, says="skipped: no ")
        return
    ran = run("--programs", programs[0].parent, "-n", 3, "-s", "1K", "-r", 1, "-i", 3, "--against", ",".join(found), "--json", "-",
              status=0, says="ratio")
    case, = json.loads(ran.stdout)["cases"]
    check(case["peers"] == 3 and case["size"] == 1024, "the case that was asked for", ran)
    check(not case["left_out"] and not case["failures"], f"everything works: {case['left_out']} {case['failures']}", ran)
    for rival in found:
        told = case["judged"][rival.partition(":")[0]]
        check(len(told["ratios"]) == 1 and told["ratio"] > 0, f"{rival}: a ratio", ran)


def round_trip():
    """The bare program tells its own usage and times; beside weft it is told to be no allreduce."""
    zmq, = (path for path in programs if path.name == "zmq_roundtrip")
    for words, says in ((["udp", 8], "neither tcp nor ipc: 'udp'"), (["tcp"], "no size ''"), (["tcp", 3], "no size '3'"),
                        (["-i", "x", "tcp", 8], "no number from 0 to 1000000 for '-i'"), (["-x", "tcp", 8], "unknown option '-x'")):
        told = subprocess.run([zmq, *map(str, words)], capture_output=True, text=True, timeout=LONG)
        check(told.returncode == 2 and says in told.stderr, f"{words} is refused", told)
    for link in ("tcp", "ipc"):
        told = subprocess.run([zmq, "-i", "3", link, "4", "1000003"], capture_output=True, text=True, timeout=LONG)
        rows = [json.loads(line) for line in told.stdout.splitlines()]
        check(told.returncode == 0 and [row["size"] for row in rows] == [4, 1000003], f"sizes over {link}", told)
        check(all(row["wrong"] == 0 and row["iters"] == 3 and 0 < row["min_us"] <= row["p50_us"] for row in rows), "times", told)
    # One process is killed: the other ends, and says why.
    with subprocess.Popen([zmq, "-i", "1000000", "tcp", "64000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        wait_until(lambda: children(running.pid) or running.poll() is not None, "its other process")
        for other in children(running.pid).values():
            os.kill(other, signal.SIGKILL)
        told = running.communicate(timeout=LONG)[1]
        check(running.returncode == 3 and "the other process ended" in told, f"status {running.returncode}: {told}")
    ran = run("--programs", zmq.parent, "-n", 2, "-s", "1K", "-r", 1, "-i", 3, "--against", "zmq:tcp+ipc", "--json", "-",
              status=0, says="# zmq: no allreduce: one message of the size to the other process and back")
    case, = json.loads(ran.stdout)["cases"]
    check(set(case["runs"]["zmq"]) == {"tcp", "ipc"} and case["judged"]["zmq"]["ratio"] > 0, "both variants ran", ran)


refusals()
known_times()
round_trip()
rivals_here()
scratch.cleanup()
done()
