# SPDX-License-Identifier: Apache-2.0
"""Programs that are run to be timed: with a deadline, ended with all they started, and with a look at what
the rest of the machine did meanwhile."""
import os
import platform
import resource
import signal
import subprocess
import tempfile
import time

TRIES, PATIENCE = 5, 3.0  # runs, and seconds of waiting for each, to find the machine quiet
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
# What launchers tell their processes: none of it is for the programs here.
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "OMPI_COMM_", "PMI_", "PMIX_RANK", "SLURM_",
             "WEFT_RANK", "WEFT_SIZE", "WEFT_MEET", "WEFT_JOB", "WEFT_LISTEN", "WEFT_ADVERTISE")


class Ended:
    """What became of a program."""

    def __init__(self, status, stdout, stderr, late):
        self.status, self.stdout, self.stderr, self.late = status, stdout, stderr, late


def signal_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def end(process):
    """Ask it and its processes to end, then make them."""
    signal_group(process, signal.SIGTERM)
    try:
        process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        signal_group(process, signal.SIGKILL)
        process.communicate()


def run(command, more, seconds):
    """Run it, with these variables more, for so long at most. Its temporary files go with it."""
    with tempfile.TemporaryDirectory(prefix="weft-compare-") as folder:
        env = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
        env.update(more, TMPDIR=folder)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            end(process)
            return Ended(process.returncode, "", "", True)
        except BaseException:
            end(process)
            raise
        return Ended(process.returncode, stdout, stderr, False)


def busy_seconds():
    """CPU time of the whole machine that was used or stolen."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def watched(work):
    """Do the work; its result, and how many cores the rest of the machine used meanwhile."""
    busy, own, start = busy_seconds(), own_seconds(), time.monotonic()
    result = work()
    seconds = max(time.monotonic() - start, 1e-3)
    others = (busy_seconds() - busy - (own_seconds() - own)) / seconds
    return result, max(0.0, others)


def run_quietly(command, more, seconds, most):
    """Run it until the others used no more than so many cores (None: whatever); the quietest of several."""
    if most is None:
        return watched(lambda: run(command, more, seconds))
    tried = []
    while len(tried) < TRIES:
        patience = time.monotonic() + PATIENCE
        while watched(lambda: time.sleep(0.2))[1] > most and time.monotonic() < patience:
            pass
        tried.append(watched(lambda: run(command, more, seconds)))
        ended, others = tried[-1]
        if others <= most or ended.late or ended.status != 0:
            return tried[-1]
    return min(tried, key=lambda t: t[1])


def describe():
    """Where it was measured."""
    model = "unknown"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release()}
