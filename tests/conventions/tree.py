# SPDX-License-Identifier: Apache-2.0
"""Rules of the tree: a licence line in every source, file names unique, files short, nothing left
unfinished, every row of a .def table has its file and every such file its row."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
folders = ["include", "src", "collectives", "tools", "tests", "examples"]
sources = [p for f in folders for p in sorted((root / f).rglob("*")) if p.is_file()]
sources += [root / n for n in ("meson.build", "meson_options.txt", ".ci/run", ".clang-format")]
suffixes = {".c", ".h", ".def", ".sh", ".py", ".build", ".txt"}
problems, seen, checked = [], {}, 0
LINES = 600


def rel(path):
    return str(path.relative_to(root))


for path in sources:
    if path.suffix not in suffixes and path.name not in {"run", ".clang-format"}:
        continue
    if "corpus" in path.parts or "golden" in path.parts or "data" in path.parts:
        continue
    checked += 1
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line for line in lines[:2] if not line.startswith("#!")]
    if not head or "SPDX-License-Identifier: Apache-2.0" not in head[0]:
        problems.append(f"{rel(path)}: the first line is not the SPDX line")
    if len(lines) > LINES:
        problems.append(f"{rel(path)}: {len(lines)} lines, the limit is {LINES}")
    for number, line in enumerate(lines, 1):
        if re.search(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", line):
            problems.append(f"{rel(path)}:{number}: unfinished: {line.strip()}")
        if "\t" in line or line != line.rstrip():
            problems.append(f"{rel(path)}:{number}: tab or blank at the end")
    # A public header may share its name with the private one behind it: weft/codec.h, codec/codec.h.
    if path.suffix in {".c", ".h", ".def"} and path.parent != root / "include/weft":
        other = seen.setdefault(path.name, path)
        if other != path:
            problems.append(f"{rel(path)}: name already taken by {rel(other)}")

TABLES = {
    "src/codec/codecs.def": "codec_",
    "src/link/links.def": "link_",
    "src/roster/finders.def": "find_",
    "src/optim/optims.def": "optim_",
    "src/topology/topologies.def": "topo_",
    "tools/problems.def": "problem_",
    "collectives/collectives.def": "",
}
rows_of = {}
for table, prefix in TABLES.items():
    path = root / table
    if not path.exists():
        problems.append(f"{table}: missing")
        continue
    rows = re.findall(r"^X\((\w+)\)", path.read_text(), flags=re.M)
    if not rows or len(rows) != len(set(rows)):
        problems.append(f"{table}: empty, or a row twice")
    for row in rows:
        if not (path.parent / f"{prefix}{row}.c").exists():
            problems.append(f"{table}: X({row}) has no file {prefix}{row}.c")
    rows_of[path.parent] = {f"{prefix}{row}.c" for row in rows}

built = [p for f in ("src", "collectives", "tools", "tests") for p in sorted((root / f).rglob("*.c"))]
for path in built:
    text = (path.parent / "meson.build").read_text()
    if path.name in rows_of.get(path.parent, ()):
        continue
    if f"'{path.name}'" not in text and f"'{path.stem}'" not in text:
        problems.append(f"{rel(path)}: in no table and not in its folder's meson.build")

for problem in problems:
    print(problem)
print(f"{checked} files read, {len(problems)} problems")
sys.exit(1 if problems or checked == 0 else 0)
