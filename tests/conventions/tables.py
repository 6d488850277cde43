# SPDX-License-Identifier: Apache-2.0
"""Tables between `<!-- weft info --markdown FAMILY -->` and `<!-- end -->` are what the program prints
under the heading FAMILY.

tables.py [--write] WEFT FILE...    --write puts the printed tables in
"""
import pathlib
import re
import subprocess
import sys

arguments = sys.argv[1:]
write = arguments[0] == "--write"
weft, files = arguments[write], arguments[write + 1:]
MARK = re.compile(r"(<!-- weft info --markdown (\w+) -->\n)(.*?)(<!-- end -->)", flags=re.S)
output = subprocess.run([weft, "info", "--markdown"], check=True, capture_output=True, text=True).stdout
sections = dict(
    (part.partition("\n")[0].strip(), part.partition("\n")[2].strip() + "\n")
    for part in ("\n" + output).split("\n### ")[1:]
)
tables, stale = 0, []
for name in files:
    path = pathlib.Path(name)
    text = path.read_text()

    def printed(match):
        return match[1] + sections[match[2]] + match[4]

    fresh = MARK.sub(printed, text)
    tables += len(MARK.findall(text))
    if fresh != text:
        stale.append(name)
        if write:
            path.write_text(fresh)
for name in stale:
    print(f"{name}: {'written' if write else 'not what weft info --markdown prints: tests/conventions/tables.py --write'}")
print(f"{tables} tables")
sys.exit(1 if (stale and not write) or tables == 0 else 0)
