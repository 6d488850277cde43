# SPDX-License-Identifier: Apache-2.0
"""Local peers: interrupts, killed and stopped ranks, launchers' variables; nothing is left behind."""
import os
import re
import signal
import tempfile
import time

from program import Running, alive, check, done, wait_until, weft

ENDLESS = ["bench", "allreduce", "-b", "16K", "-e", "16M", "-f", "1.01", "-w", "0", "-i", "3"]
FIRST_ROW = "\n       16384 "


def start(*words, peers=3, link="tcp"):
    """A benchmark that goes on for long, past its first row."""
    running = Running(*ENDLESS, "-n", peers, "--link", link, *words)
    ranks = running.children(peers)
    running.until_printed(FIRST_ROW)
    return running, ranks


def gone(ranks, running):
    check(not any(alive(pid) for pid in ranks.values()), "no process is left", running)


# Ctrl-C and its relatives.
for link in ("tcp", "ipc"):
    for number in (signal.SIGINT, signal.SIGTERM):
        running, ranks = start(link=link)
        running.interrupt(number)
        running.end(128 + number)
        gone(ranks, running)
        check(running.stderr == "", "silent when it was asked to end", running)

# Threads of one process, and whatever a shell that starts background jobs has had ignored.
for link in ("mem", "tcp"):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
        running = Running(*ENDLESS, "-n", 3, "--link", link)
        signal.signal(number, signal.SIG_DFL)
        running.until_printed(FIRST_ROW)
        asked = time.monotonic()
        running.interrupt(number)
        running.end(128 + number)
        print(f"{link}: {time.monotonic() - asked:.3f} s after signal {number}")

# Ctrl-C while peers still wait for one another.
running = Running("bench", "allreduce", "-n", 3)
ranks = running.children(3)
os.kill(ranks[1], signal.SIGSTOP)
running.interrupt()
wait_until(lambda: running.process.poll() is not None, "the end")
check(running.process.returncode in (128 + signal.SIGINT, -signal.SIGINT, 0), "ended", running)
gone(ranks, running)

# A killed rank: the others say that it was lost, the parent says how; exit 3.
for link in ("tcp", "ipc"):
    for victim in (0, 2):
        running, ranks = start(link=link)
        os.kill(ranks[victim], signal.SIGKILL)
        running.end(3, says=f"rank {victim}: was killed by signal 9 (Killed)")
        gone(ranks, running)
        others = [r for r in range(3) if r != victim]
        told = running.stderr.replace(f"rank {victim}: was killed", "")
        check(all(str(r) in told for r in others), "the survivors tell of it", running)

# A stopped rank: a deadline passes, the others name it, it is ended.
running, ranks = start("--timeout", "1.5")
os.kill(ranks[1], signal.SIGSTOP)
running.end(3, says="1")
gone(ranks, running)

# The parent itself is killed.
running, ranks = start()
running.process.kill()
wait_until(lambda: not any(alive(pid) for pid in ranks.values()), "children of a killed parent end")
running.process.wait()

# Log lines carry the rank, and lines about -n under a launcher are on stderr.
for link in ("tcp", "ipc"):
    log = weft("bench", "allreduce", "-n", 2, "--link", link, "-b", 4, "-i", 1, "-v").stderr.splitlines()
    check(log and all(re.match(r"weft bench: \[[01]\] (info|debug|warning): ", line) for line in log), f"log {log}")
process = weft("bench", "allreduce", "-n", 2, "-b", 4, "-i", 1, env={"OMPI_COMM_WORLD_RANK": 0, "OMPI_COMM_WORLD_SIZE": 2})
check("warning: started by a launcher, but -n is given" in process.stderr and process.stderr.count("\n") == 1,
      "mpirun with -n", process)

# Launchers' variables: one peer of one, by each name; contradictions are refused.
for env in ({"RANK": 0, "WORLD_SIZE": 1}, {"OMPI_COMM_WORLD_RANK": 0, "OMPI_COMM_WORLD_SIZE": 1},
            {"PMI_RANK": 0, "PMI_SIZE": 1}, {"WEFT_RANK": 0, "WEFT_SIZE": 1}):
    process = weft("bench", "allreduce", "-b", "1K", "-i", 1, env=env)
    check("1 peers" in process.stdout or "1 peer" in process.stdout, f"a group of one from {env}", process)
weft("bench", "allreduce", "-b", "1K", env={"WEFT_RANK": 0}, status=2, says="WEFT_SIZE")
weft("bench", "allreduce", "-b", "1K", "--link", "mem", env={"WEFT_RANK": 0, "WEFT_SIZE": 2}, status=2, says="needs -n")
check("2 peers" in weft("bench", "allreduce", "-b", "1K", "-i", 1, "-n", 2, env={"RANK": 5, "WORLD_SIZE": 6}).stdout,
      "-n stands over a launcher's variables")

# Peers that never come are named; a place that nobody serves too.
with tempfile.TemporaryDirectory() as folder:
    weft("bench", "allreduce", "--timeout", "0.5", status=3, says="missing rank",
         env={"WEFT_RANK": 0, "WEFT_SIZE": 2, "WEFT_MEET": f"file://{folder}"})
done()
