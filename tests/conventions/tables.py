# SPDX-License-Identifier: Apache-2.0
"""Tables between `<!-- weft info --markdown FAMILY -->` and `<!-- end -->` are what the program prints
under the heading FAMILY; and the hand-made table of collectives/README.md says of every algorithm
what the program says.

tables.py [--write] WEFT FILE...    --write puts the printed tables in
"""
import json
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

listed = json.loads(
    subprocess.run([weft, "info", "--json", "-"], check=True, capture_output=True, text=True).stdout
)["algorithms"]
readme = (pathlib.Path(__file__).parents[2] / "collectives/README.md").read_text()
rows = {tuple(cells[1:3]): cells for cells in (re.split(r"\s*\|\s*", line) for line in readme.splitlines()) if len(cells) == 8}
wrong = len(rows) - 2 != len(listed)
for algo in listed:
    cells = rows.get((algo["scope"], f"`{algo['name']}`"), [])
    for key in ("summary", "cost", "source"):
        if algo[key] not in cells:
            wrong = True
            print(f"collectives/README.md: {algo['scope']} {algo['name']}: the {key} is: {algo[key]}")
print(f"{tables} tables, {len(listed)} algorithms")
sys.exit(1 if (stale and not write) or wrong or not tables or not listed else 0)
