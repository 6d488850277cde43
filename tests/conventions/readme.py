# SPDX-License-Identifier: Apache-2.0
"""The C examples of README.md, taken out and compiled against the build; the first, a program, is run as peers, the
others are the inside of a function of FRAME.

readme.py README INCLUDE LIBRARY WEFT CC...
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PEERS = 3
FRAME = """#include <stdio.h>
#include <weft/weft.h>
int body(weft_group *group, size_t count, const weft_tensor *tensors, float *x, float *gradient,
         void my_gradient(const float *x, float *gradient));
int body(weft_group *group, size_t count, const weft_tensor *tensors, float *x, float *gradient,
         void my_gradient(const float *x, float *gradient))
{
%s
return 0;
}
"""
WARNINGS = ["-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def check(readme, cc, flags, libraries, weft, env=None):
    """Compile the example of readme with cc, run it under `weft run`, compare what peers print."""
    example = re.findall(r"```c\n(.*?)```", pathlib.Path(readme).read_text(), flags=re.S)
    if len(example) != 2:
        sys.exit(f"{readme}: {len(example)} C blocks: a program and the inside of a function are expected")
    with tempfile.TemporaryDirectory() as scratch:
        source, program = os.path.join(scratch, "example.c"), os.path.join(scratch, "example")
        pathlib.Path(source).write_text(example[0])
        subprocess.run([*cc, *WARNINGS, *flags, source, "-o", program, *libraries], check=True)
        for inside in example[1:]:
            pathlib.Path(source).write_text(FRAME % inside)
            subprocess.run([*cc, *WARNINGS, *flags, "-c", source, "-o", program + ".o"], check=True)
        run = subprocess.run(
            [weft, "run", "-n", str(PEERS), "--", program],
            capture_output=True, text=True, timeout=60, env=env, stdin=subprocess.DEVNULL,
        )
    print(run.stdout, run.stderr, sep="")
    if run.returncode != 0:
        sys.exit(f"the example ended with {run.returncode}")
    # One line from every peer: "[rank] rank R of P: ...", equal behind the rank.
    lines = re.findall(r"^\[(\d+)\] rank (\d+)(.*)$", run.stdout, flags=re.M)
    if sorted(int(rank) for rank, told, _ in lines if rank == told) != list(range(PEERS)):
        sys.exit("not one line from each peer")
    if len({text for _, _, text in lines}) != 1:
        sys.exit("the peers hold different results")


if __name__ == "__main__":
    readme_file, include, library, weft_tool = sys.argv[1:5]
    folder = os.path.dirname(library)
    check(
        readme_file, sys.argv[5:], [f"-I{include}"],
        [f"-L{folder}", f"-Wl,-rpath,{folder}", "-lweft"], weft_tool,
    )
