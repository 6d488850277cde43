# SPDX-License-Identifier: Apache-2.0
"""tools/compare/gloo.py: its help, its refusals, its word where Gloo is missing; a short run where it is not."""
import json
import pathlib
import subprocess
import sys
import tempfile

from program import LONG, WEFT, check, done, environment

script, gloo = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None


def run(*words, status, says=()):
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.run(
            [sys.executable, script, "--weft", WEFT, *map(str, words)], capture_output=True, text=True,
            timeout=LONG, stdin=subprocess.DEVNULL, env=environment(folder),
        )
        check(process.returncode == status, f"status {process.returncode}, expected {status}", process)
        for text in [says] if isinstance(says, str) else says:
            check(text in process.stderr, f"stderr does not say: {text}", process)
        check(not list(pathlib.Path(folder).iterdir()), "something left behind", process)
    return process


check("--rounds" in run("--help", status=0).stdout, "the help tells the options")
run("--sizes", "4Q", status=2, says="'4Q' is no size")
run("--peers", "1", status=2, says="'1' is no whole number from 2 on")
run("--gloo", "/nowhere/gloo_allreduce", status=77,
    says=["skipped: no /nowhere/gloo_allreduce", "Gloo (libgloo-dev)"])

if gloo is not None:
    # Three processes: the plain algorithms of Gloo take any number.
    process = run("--gloo", gloo, "-n", 3, "-s", "1K", "-r", 2, "--json", "-", status=0, says="ratio")
    case, = json.loads(process.stdout)["cases"]
    check(case["peers"] == 3 and case["size"] == 1024, "the case that was asked for", process)
    check("ring" in case["p50_us"], f"Gloo's ring worked: {case['failed']}", process)
    check(all(len(v) == 2 and min(v) > 0 for n, v in case["p50_us"].items() if n not in case["failed"]),
          "a time for each of both rounds", process)
    check(len(case["ratios"]) == 2 and case["gloo_best"] != "weft", "a ratio a round", process)
else:
    run(status=77, says="skipped: no ")
done()
