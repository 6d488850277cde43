# SPDX-License-Identifier: Apache-2.0
"""What the tests of `weft train` share: the program, small data, dumps."""
import array
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

tool = os.environ.get("WEFT_TOOL", "weft")
EXAMPLES = pathlib.Path("/usr/share/doc/liblinear-tools/examples")


def train(*args, env=None, timeout=60):
    """Run it; words that hold blanks stay whole."""
    return subprocess.run(
        [tool, "train", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=env,
        check=False,
    )


def figures(*args, timeout=60, status=0):
    """Run it and return its JSON."""
    done = train(*args, "--json", "-", timeout=timeout)
    assert done.returncode == status, f"exit {done.returncode}, not {status}: {done.stderr}"
    return json.loads(done.stdout)


def data_file(name):
    """A file of the real data: WEFT_DATA names their folder, else the build looks beside the sources."""
    where = os.environ.get("WEFT_DATA") or os.environ.get("WEFT_DATA_BESIDE") or "."
    return pathlib.Path(where) / name


def folder():
    return tempfile.TemporaryDirectory(prefix="weft-train-")


def small_data(path, rows=62, dim=48):
    """Rows by a linear congruential generator, labels 3 and 7; returns [(sign, {index: value})]."""
    state, data = 12345, []

    def unit():
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 11) / 2**53

    for _ in range(rows):
        row = {j: round(2 * unit() - 1, 3) for j in range(dim) if unit() < 0.4}
        row[dim - 1] = 0.5
        plane = sum(v * (1 if j % 2 else -1) for j, v in row.items())
        data.append((1 if (plane > 0) != (unit() < 0.1) else -1, row))
    with open(path, "w", encoding="ascii") as f:
        for sign, row in data:
            entries = " ".join(f"{j + 1}:{v}" for j, v in sorted(row.items()))
            f.write(f"{7 if sign > 0 else 3} {entries}\n")
    return data


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for never came"
        time.sleep(0.01)


def children(pid):
    """Processes whose parent is pid."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def rank_of(pid):
    words = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((int(w[10:]) for w in words if w.startswith(b"WEFT_RANK=")), None)


def floats(path):
    """A raw little-endian float32 file."""
    values = array.array("f")
    values.frombytes(pathlib.Path(path).read_bytes())
    if sys.byteorder == "big":
        values.byteswap()
    return list(values)


def steps_to(run, gap):
    """First traced step at a gap, None when never reached."""
    return next((p["step"] for p in run["trace"] if p["gap"] <= gap), None)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)
