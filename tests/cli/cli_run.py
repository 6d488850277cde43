# SPDX-License-Identifier: Apache-2.0
"""weft run: the environment of its programs, their output, how they end."""
import pathlib
import re
import signal
import subprocess

from program import WEFT, Running, alive, check, children, done, environment, left_behind, wait_until, weft

SH = ["--", "sh", "-c"]

# Environment and output: each line begins with its rank, an unfinished one too.
process = weft("run", "-n", 3, *SH, 'echo "$WEFT_RANK $WEFT_SIZE $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE"; '
               'echo "$WEFT_MEET $WEFT_JOB $WEFT_LINK"; echo error >&2; printf end')
for rank in range(3):
    check(f"[{rank}] {rank} 3 {rank} 3 {rank} 3\n" in process.stdout, f"numbers of rank {rank}", process)
    check(f"[{rank}] error\n" in process.stderr, f"stderr of rank {rank}", process)
    check(f"[{rank}] end\n" in process.stdout, f"unfinished line of rank {rank}", process)
places = set(re.findall(r"\[\d\] (file://\S+ \d+ tcp)", process.stdout))
check(len(places) == 1, "one meeting place and job for all", process)
check(weft("run", "-n", 1, "--plain", *SH, "echo plain").stdout == "plain\n", "--plain")
check(weft("run", "-n", 1, "--link", "ipc", "--meet", "tcp://127.0.0.1:1", *SH, "echo $WEFT_LINK $WEFT_MEET").stdout ==
      "[0] ipc tcp://127.0.0.1:1\n", "--link and --meet")
long = weft("run", "-n", 2, *SH, "i=0; while [ $i -lt 3000 ]; do printf 0123456789012345678901234567890123456789; i=$((i+1)); done")
check(len(long.stdout.replace("[0] ", "").replace("[1] ", "").replace("\n", "")) == 2 * 3000 * 40, "long lines are whole", None)
check(weft("run", "-n", 2, *SH, "cat", stdin="to the first\n").stdout == "[0] to the first\n", "stdin goes to rank 0")
check(weft("run", "-n", 1, "printf", "%s\\n", "-n", "--").stdout == "[0] -n\n[0] --\n", "the program's options are its own")

# Exit statuses.
weft("run", "-n", 2, "--", "true")
weft("run", "-n", 3, *SH, "exit $((RANK == 1 ? 7 : 0))", status=7, says="rank 1 exited with status 7")
weft("run", "-n", 2, "--", "/no/such/program", status=2, says="cannot start '/no/such/program': No such file")
weft("run", "-n", 2, "--", "/etc/passwd", status=2, says="Permission denied")
weft("run", "-n", 2, *SH, "[ $RANK = 0 ] || kill -9 $$", status=137, says="rank 1 was killed by signal 9 (Killed)")

# One fails: the others have the grace time, then they are ended, one that ignores SIGTERM too.
process = weft("run", "-n", 3, "--grace", "0.2", *SH, "trap '' TERM; [ $RANK = 1 ] && exit 5; while :; do sleep 1; done",
               status=5, says=["rank 1 exited with status 5", "rank 0 was killed", "rank 2 was killed"])
weft("run", "-n", 2, "--grace", "30", *SH, "[ $RANK = 1 ] && exit 5; exit 0", status=5)

# Signals reach the programs and what they started; nothing stays behind.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    running = Running("run", "-n", 2, *SH, "sleep 1000 & echo $!; wait")
    ranks = running.children(2)
    wait_until(lambda: running.stdout.count("\n") == 2, "two lines")
    sleepers = [int(pid) for pid in re.findall(r"\] (\d+)", running.stdout)]
    check(all(alive(pid) for pid in sleepers), "sleepers run", running)
    running.interrupt(number)
    running.end(128 + number)
    check(not any(alive(pid) for pid in [*ranks.values(), *sleepers]), f"all gone after {number}", running)
running = Running("run", "-n", 2, *SH, "trap 'echo usr1; exit 0' USR1; echo ready; while :; do sleep 0.05; done")
wait_until(lambda: running.stdout.count("ready") == 2, "traps")
running.interrupt(signal.SIGUSR1)
running.end(0)
check(running.stdout.count("usr1") == 2, "SIGUSR1 is passed on", running)

# If weft itself is killed its programs are too.
running = Running("run", "-n", 2, "--", "sleep", "1000")
ranks = running.children(2)
running.process.kill()
wait_until(lambda: not any(alive(pid) for pid in ranks.values()), "children of a killed parent end")
running.process.wait()

# What a killed parent left is removed by the next start; what a living one has is not.
kept = left_behind(running.folder)
check(kept == [name for name in kept if name.startswith(f"weft-run-{running.process.pid}-")] and len(kept) == 1,
      f"a killed parent leaves a folder: {kept}")
other = Running("run", "-n", 1, "--", "sleep", "1000", TMPDIR=running.folder)
other.children(1)
kept = left_behind(running.folder)
check(len(kept) == 1 and kept[0].startswith(f"weft-run-{other.process.pid}-"), f"the other's folder alone: {kept}")
weft("run", "-n", 1, "--", "true", env={"TMPDIR": running.folder})
check(left_behind(running.folder) == kept, "the folder of a living parent stays")
other.interrupt()
other.end(130)
check(not left_behind(running.folder), "nothing at the end")

# A rank that ends while others run.
running = Running("run", "-n", 2, *SH, "[ $RANK = 1 ] || until [ -e $TMPDIR/stop ]; do sleep 0.05; done")
wait_until(lambda: running.stderr != "", "a word about rank 1")
(running.folder / "stop").touch()
running.end(0)
check(running.stderr == "weft run: rank 1 ended with status 0 while others run\n", "told once", running)

# Meeting places.
for place in ("alpha:7000", "tcp://alpha", "tcp://:7000", "tcp://alpha:0", "tcp://alpha:70000", "tcp://a:1,", "file://here",
              "/tmp/here", "tcp://a:1,b:2", "tcp://a b:1", ""):
    weft("run", "-n", 1, "--meet", place, "--", "true", status=2, says=f"--meet '{place}': expected file:///FOLDER or tcp://")
for place in ("file:///tmp/here", "tcp://a:1,tcp://[::1]:2"):
    check(weft("run", "-n", 1, "--meet", place, *SH, "echo $WEFT_MEET").stdout == f"[0] {place}\n", place)

# A peer of the program itself under it: only rank 0 prints.
process = weft("run", "-n", 3, "--", WEFT, "bench", "allreduce", "-b", "4K", "-i", 2)
check("[0] # wrong elements       : 0 OK\n" in process.stdout and "[1]" not in process.stdout, "the table once", process)
check("3 peers" in process.stdout, "three peers", process)
done()
