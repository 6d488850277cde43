# SPDX-License-Identifier: Apache-2.0
"""Every #include of the library and the tools is one that layers.txt allows."""
import fnmatch
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
rules = root / "tests/conventions/layers.txt"
layers, libraries, problems = {}, {}, []
for number, line in enumerate(rules.read_text().splitlines(), 1):
    line = line.split("#")[0].strip()
    if not line:
        continue
    head, _, rest = line.partition(":")
    head, words = head.strip(), rest.split()
    if head.endswith(".h") or head.endswith("/"):
        libraries[head] = words
        continue
    if not (root / head).is_dir():
        problems.append(f"layers.txt:{number}: no folder {head}")
    known = {pathlib.PurePath(name).name for name in layers}
    for word in words:
        if word.split("/")[0] not in known:
            problems.append(f"layers.txt:{number}: {word} is no layer above {head}")
    layers[head] = words

for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir()):
    if f"src/{folder.name}" not in layers and any(folder.glob("*.[ch]")):
        problems.append(f"layers.txt: no row for src/{folder.name}")


def library_allowed(header, path):
    for name, where in libraries.items():
        if header == name or (name.endswith("/") and header.startswith(name)):
            return any(fnmatch.fnmatch(path, w) or path.startswith(w + "/") for w in where)
    return None


def layer_allowed(header, layer, words):
    own = pathlib.PurePath(layer).name
    first = header.split("/")[0]
    if "/" not in header:
        return layer == "tools" and (root / "tools" / header).exists()
    if first == own or first in words or header in words:
        return (root / "src" / header).exists() or (root / header).exists()
    return False


count = 0
for layer, words in layers.items():
    for path in sorted((root / layer).glob("*.[ch]")) + sorted((root / layer).glob("*.def")):
        name = str(path.relative_to(root))
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if not match:
                continue
            count += 1
            quote, header = match.groups()
            allowed = library_allowed(header, name)
            if quote == '"' and header.endswith(".def"):
                allowed = layer_allowed(header, layer, words) or (path.parent / header).exists()
            elif quote == '"':
                allowed = layer_allowed(header, layer, words)
            elif header.startswith("weft/"):
                allowed = (root / "include" / header).exists()
            elif allowed is None:
                allowed = True  # C, POSIX, Linux: the compiler says whether it is there
            if not allowed:
                problems.append(f"{name}:{number}: {layer} may not include {header}")

for problem in problems:
    print(problem)
print(f"{count} includes read, {len(problems)} problems")
sys.exit(1 if problems or count == 0 else 0)
