# SPDX-License-Identifier: Apache-2.0
"""What `meson install` puts down is enough: pkg-config finds it, the README's example compiles with
it and runs with the installed library and program, which finds the library by itself.

install.py README BUILD CC...
"""
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

import readme

readme_file, build, cc = sys.argv[1], sys.argv[2], sys.argv[3:]
with tempfile.TemporaryDirectory() as root:
    subprocess.run(
        ["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root], check=True
    )
    found = list(pathlib.Path(root).rglob("weft.pc"))
    if len(found) != 1:
        sys.exit(f"{len(found)} weft.pc installed")
    library = found[0].parent.parent
    weft = next(p for p in pathlib.Path(root).rglob("bin/weft"))
    # The program finds its library by itself.
    bare = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    told = subprocess.run([weft, "--version"], capture_output=True, text=True, env=bare, check=True).stdout
    if not told.startswith("weft "):
        sys.exit(f"{weft} --version says {told}")
    env = dict(
        os.environ,
        PKG_CONFIG_PATH=str(found[0].parent),
        PKG_CONFIG_SYSROOT_DIR=root,
        LD_LIBRARY_PATH=str(library),
    )
    flags, libraries = (
        shlex.split(
            subprocess.run(
                ["pkg-config", option, "weft"], check=True, capture_output=True, text=True, env=env
            ).stdout
        )
        for option in ("--cflags", "--libs")
    )
    if not flags or "-lweft" not in libraries:
        sys.exit(f"pkg-config says {flags} {libraries}")
    readme.check(readme_file, cc, flags, libraries, str(weft), env)
