# SPDX-License-Identifier: Apache-2.0
"""What the tests of the program share: run it, watch its children, see that nothing is left behind."""
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time

WEFT = os.environ["WEFT_TOOL"]
# For what lasts until something has happened; a test that needs so long has failed.
LONG = 60
LAUNCHERS = ("WEFT_", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "OMPI_", "PMI_", "PMIX_", "SLURM_", "XDG_RUNTIME_DIR")
checks = 0


def environment(folder, **more):
    """The environment without any launcher's variables; temporary files go to folder."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
    env["TMPDIR"] = str(folder)
    env.update({k: str(v) for k, v in more.items()})
    return env


def fail(what, process=None):
    if process is not None:
        print("$", " ".join(str(word) for word in process.args))
        print(process.stdout, process.stderr, sep="\n", file=sys.stderr)
    sys.exit(f"FAILED: {what}")


def check(condition, what, process=None):
    global checks
    checks += 1
    if not condition:
        fail(what, process)


def weft(*words, status=0, says=(), folder=None, env=None, cwd=None, stdin=None):
    """Run the program to its end; it must return status (None: any), say all of says on stderr and leave nothing."""
    with tempfile.TemporaryDirectory() as own:
        place = folder or own
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        process = subprocess.run(
            [WEFT, *map(str, words)], capture_output=True, text=True, timeout=LONG, cwd=cwd,
            env=environment(place, **(env or {})), **given,
        )
        check(status in (None, process.returncode), f"status {process.returncode}, expected {status}", process)
        for text in [says] if isinstance(says, str) else says:
            check(text in process.stderr, f"stderr does not say: {text}", process)
        check(not left_behind(place), f"left behind: {left_behind(place)}", process)
    return process


def left_behind(folder):
    return [p.name for p in pathlib.Path(folder).iterdir() if p.name.startswith("weft-")]


def children(pid):
    """Processes whose parent is pid, by rank where they have one."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                env = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                rank = [word[10:] for word in env if word.startswith(b"WEFT_RANK=")]
                found[int(rank[0]) if rank else -1] = int(entry.name)
    return found


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition, what):
    end = time.monotonic() + LONG
    while not condition():
        if time.monotonic() > end:
            fail(f"never came: {what}")
        time.sleep(0.01)


class Running:
    """The program while it runs; stdout and stderr are files in its folder."""

    def __init__(self, *words, **env):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.scratch.name)
        self.args = [WEFT, *map(str, words)]
        with open(self.folder / "out", "w") as out, open(self.folder / "err", "w") as err:
            self.process = subprocess.Popen(
                self.args, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment(self.folder, **env)
            )

    @property
    def stdout(self):
        return (self.folder / "out").read_text()

    @property
    def stderr(self):
        return (self.folder / "err").read_text()

    def children(self, count):
        """pid of each rank, once so many are there and have become what they are to be."""
        wait_until(lambda: sorted(children(self.process.pid)) == list(range(count)) or self.process.poll() is not None,
                   f"{count} children")
        found = children(self.process.pid)
        check(sorted(found) == list(range(count)), f"children {found}", self)
        return found

    def until_printed(self, text):
        wait_until(lambda: text in self.stdout or self.process.poll() is not None, f"'{text}' on stdout")
        check(text in self.stdout, f"ended before it printed '{text}'", self)

    def end(self, status, says=()):
        try:
            got = self.process.wait(timeout=LONG)
        except subprocess.TimeoutExpired:
            self.process.kill()
            fail("does not end", self)
        check(got == status, f"status {got}, expected {status}", self)
        for text in [says] if isinstance(says, str) else says:
            check(text in self.stderr, f"stderr does not say: {text}", self)
        check(not left_behind(self.folder), f"left behind: {left_behind(self.folder)}", self)

    def interrupt(self, number=signal.SIGINT):
        self.process.send_signal(number)


def write_floats(path, values, kind="f"):
    pathlib.Path(path).write_bytes(struct.pack(f"<{len(values)}{kind}", *values))


def read_floats(path, kind="f"):
    data = pathlib.Path(path).read_bytes()
    return list(struct.unpack(f"<{len(data) // struct.calcsize(kind)}{kind}", data))


def done():
    print(f"{checks} checks")
    sys.exit(0 if checks > 0 else 1)
