# SPDX-License-Identifier: Apache-2.0
"""The shared library exports exactly the functions that the public headers mark WEFT_API."""
import pathlib
import re
import subprocess
import sys

nm, library, headers = sys.argv[1], sys.argv[2], sys.argv[3:]
listing = subprocess.run(
    [nm, "-D", "--defined-only", library], check=True, capture_output=True, text=True
).stdout
exported = {line.split()[-1].split("@")[0] for line in listing.splitlines() if line.strip()}
declared = set()
for header in headers:
    text = re.sub(r"/\*.*?\*/", "", pathlib.Path(header).read_text(), flags=re.S)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    declared |= set(re.findall(r"\bWEFT_API\b[^;(]*?\b(\w+)\s*\(", text))

problems = [f"exported but in no public header: {name}" for name in sorted(exported - declared)]
problems += [f"declared but not exported: {name}" for name in sorted(declared - exported)]
problems += [f"not a weft_ name: {name}" for name in sorted(exported) if not name.startswith("weft_")]
for problem in problems:
    print(problem)
print(f"{len(exported)} exported, {len(declared)} declared")
sys.exit(1 if problems or not exported else 0)
