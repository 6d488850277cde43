# SPDX-License-Identifier: Apache-2.0
"""weft info: text, tables and JSON hold the same members."""
import json
import re
import tempfile

from program import check, done, weft

data = json.loads(weft("info", "--json", "-").stdout)
check(re.fullmatch(r"\d+\.\d+\.\d+", data["weft"]), "version")
check(data["build"], "a line about the build")
families = [key for key, value in data.items() if isinstance(value, list)]
check(families == ["codecs", "algorithms", "topologies", "optimizers", "finders", "links"], f"families {families}")
text, tables = weft("info").stdout, weft("info", "--markdown").stdout
for family in families:
    check(data[family], f"{family} has members")
    check(f"### {family}\n" in tables, f"a heading for {family}")
    for member in data[family]:
        name = f"{member['scope']} {member['name']}".strip()
        check("| `" + name.replace("|", "\\|") + "` | " in tables, f"{name} in the tables")
        check(re.search(rf"^  {re.escape(name)} +{re.escape(member['summary'])}$", text, flags=re.M), f"{name} in the text")
        for param in member["params"]:
            check(f"| `{name}` | `{param['key']}` | " in tables, f"{name}:{param['key']} in the tables")
            check("choices" in param or param["min"] <= param["max"], f"{name}:{param['key']} has a range")
names = {family: {member["name"] for member in data[family]} for family in families}
check([member["name"] for member in data["links"]] == ["tcp", "ipc", "mem"], "a row for each link")
check(re.search(r", libzmq \d+\.\d+\.\d+, asserts (on|off)$", data["build"]), f"build: {data['build']}")
for family in families:
    part = weft("info", "--markdown", family).stdout
    check(part.startswith(f"### {family}\n") and part.count("### ") == 1 and part in tables, f"{family} alone")
    check(json.loads(weft("info", family, "--json", "-").stdout)[family] == data[family], f"{family} alone in JSON")
weft("info", "codec", status=2, says="unknown family 'codec'; nearest: codecs")
weft("info", "codecs", "links", status=2, says="unexpected word 'links'")
weft("info", "--markdown", "--json", "-", status=2, says="--markdown and --json do not go together")
check({"raw", "qsgd"} <= names["codecs"], "codecs raw and qsgd")
check({"ring", "doubling", "gather", "scatter"} <= names["algorithms"], "allreduce algorithms")

# Every codec's default SPEC, keys and all, is one that the program takes.
for codec in data["codecs"]:
    keys = ",".join(f"{p['key']}={p['default']}" for p in codec["params"])
    weft("bench", "allreduce", "-n", 1, "-e", 64, "-i", 1, "--codec", codec["name"] + (":" + keys if keys else ""))

with tempfile.TemporaryDirectory() as folder:
    weft("info", "--json", folder + "/info.json")
    check(json.load(open(folder + "/info.json")) == data, "the file is what stdout was")
    weft("info", "--json", folder + "/no/where.json", status=2, says="no/where.json: No such file")
done()
