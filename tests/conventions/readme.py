# SPDX-License-Identifier: Apache-2.0
"""The C example of README.md, taken out, compiled against the build, run as three peers.

readme.py README INCLUDE LIBRARY WEFT CC...
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

readme, include, library, weft, cc = *sys.argv[1:5], sys.argv[5:]
PEERS = 3
example = re.findall(r"```c\n(.*?)```", pathlib.Path(readme).read_text(), flags=re.S)
if len(example) != 1:
    sys.exit(f"{readme}: {len(example)} C blocks, the example is to be the only one")
folder = os.path.dirname(library)
with tempfile.TemporaryDirectory() as scratch:
    source, program = os.path.join(scratch, "example.c"), os.path.join(scratch, "example")
    pathlib.Path(source).write_text(example[0])
    subprocess.run(
        [*cc, "-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{include}", source, "-o", program,
         f"-L{folder}", f"-Wl,-rpath,{folder}", "-lweft"],
        check=True,
    )
    run = subprocess.run(
        [weft, "run", "-n", str(PEERS), "--", program], capture_output=True, text=True, timeout=60
    )
print(run.stdout, run.stderr, sep="")
if run.returncode != 0:
    sys.exit(f"the example ended with {run.returncode}")
# Every peer prints one line; behind the "[rank] " that weft run puts in front they are equal.
lines = re.findall(r"^\[(\d+)\] (.*)$", run.stdout, flags=re.M)
if sorted(int(rank) for rank, _ in lines) != list(range(PEERS)):
    sys.exit("not one line from each peer")
if len({re.sub(r"^rank \d+", "", text) for _, text in lines}) != 1:
    sys.exit("the peers hold different results")
