#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dense float32 sum allreduce: weft against every algorithm of Gloo, on this machine, over TCP on
127.0.0.1, one process a rank.

Every round runs weft and each Gloo algorithm once at each size, in an order that turns from round to
round. Both time alike: slowest process of each operation, between barriers, median over at least 5
operations and 0.3 s. weft works out of place, Gloo in place. A ratio above 1 means that weft is faster."""
import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time

SKIPPED = 77  # as meson and automake understand it
TRIES, PATIENCE = 5, 3.0  # runs, and seconds of waiting for each, to find the machine quiet


def stop(status, what):
    print(f"gloo.py: {what}", file=sys.stderr)
    sys.exit(status)


def size_of(text):
    """'4M' is 4 MiB, as the program weft reads it."""
    found = re.fullmatch(r"(\d+)([KMG]?)", text, flags=re.I)
    if not found or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no size: bytes, or such as 16K, 4M, 1G")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()]


def count_of(least):
    def parse(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} on")
        return int(text)

    return parse


def size_text(size):
    for shift, letter in ((30, "G"), (20, "M"), (10, "K")):
        if size % (1 << shift) == 0:
            return f"{size >> shift}{letter}"
    return str(size)


def arguments():
    parser = argparse.ArgumentParser(prog="gloo.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-n", "--peers", type=count_of(2), nargs="+", default=[4], metavar="P", help="numbers of processes (4)")
    parser.add_argument("-s", "--sizes", type=size_of, nargs="+", default=[4 << 20, 64 << 20], metavar="BYTES", help="vector sizes (4M 64M)")
    parser.add_argument("-r", "--rounds", type=count_of(1), default=5, help="how often everything runs (5)")
    parser.add_argument("--link", choices=("tcp", "ipc"), default="tcp", help="of weft (tcp); Gloo has tcp")
    parser.add_argument("--algo", default="auto", metavar="SPEC", help="of weft (auto)")
    parser.add_argument("--rivals", nargs="+", metavar="ALGO", help="algorithms of Gloo (all)")
    parser.add_argument("--others", type=float, metavar="CORES", help="wait until the rest of the machine uses no more than so\nmany cores, and repeat a run during which it did; of %d the\nquietest counts" % TRIES)
    parser.add_argument("--weft", metavar="PROGRAM", help="else WEFT_TOOL, else weft of the PATH")
    parser.add_argument("--gloo", metavar="PROGRAM", help="else compare/gloo_allreduce beside weft")
    parser.add_argument("--json", metavar="FILE", help="every median of every round; - is stdout")
    return parser.parse_args()


def programs(args):
    weft = args.weft or os.environ.get("WEFT_TOOL") or "weft"
    found = shutil.which(weft)
    if found is None:
        stop(2, f"no program {weft}: name it with --weft, or run in 'meson devenv -C BUILD'")
    gloo = args.gloo or pathlib.Path(found).resolve().parent / "compare/gloo_allreduce"
    if shutil.which(gloo) is None:
        stop(SKIPPED, f"skipped: no {gloo}; it is built where a C++ compiler and Gloo (libgloo-dev) are found")
    return found, str(gloo)


def busy_seconds():
    """CPU time of the whole machine that was used or stolen."""
    user, nice, system, _, _, irq, softirq, steal = map(int, open("/proc/stat").readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def watched(work):
    """Do the work; its result, and how many cores the rest of the machine used meanwhile."""
    busy, own, start = busy_seconds(), own_seconds(), time.monotonic()
    result = work()
    seconds = time.monotonic() - start
    others = (busy_seconds() - busy - (own_seconds() - own)) / seconds
    return result, max(0.0, others)


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_quietly(command, most):
    """The finished process, and what the others used."""
    if most is None:
        return watched(lambda: run(command))
    tried = []
    while len(tried) < TRIES:
        end = time.monotonic() + PATIENCE
        while watched(lambda: time.sleep(0.2))[1] > most and time.monotonic() < end:
            pass
        tried.append(watched(lambda: run(command)))
        if tried[-1][1] <= most or tried[-1][0].returncode != 0:
            return tried[-1]
    return min(tried, key=lambda t: t[1])


class Case:
    """One number of peers, one size: medians in microseconds, by name, one a round."""

    def __init__(self, peers, size):
        self.peers, self.size = peers, size
        self.medians, self.others, self.failed, self.weft_algo = {}, [], {}, None

    def measure(self, name, command, most):
        process, others = run_quietly(command, most)
        if process.returncode != 0:
            why = process.stderr.strip().splitlines()[:1] or ["wrong result"]
            if name == "weft":
                stop(1, f"{' '.join(command)}: status {process.returncode}: {process.stderr.strip()}")
            self.failed[name] = why[0]
            return
        row = json.loads(process.stdout)
        if name == "weft":
            self.weft_algo = row["rows"][0]["algo"]
            row = row["rows"][0]["out_of_place"]
        self.medians.setdefault(name, []).append(row["p50_us"])
        self.others.append(others)

    def best(self):
        """The algorithm of Gloo whose median over the rounds is least."""
        rivals = {n: statistics.median(v) for n, v in self.medians.items() if n != "weft" and n not in self.failed}
        if not rivals:
            stop(1, f"no algorithm of Gloo worked: {self.failed}")
        return min(rivals, key=rivals.get)

    def ratios(self):
        return [g / w for g, w in zip(self.medians[self.best()], self.medians["weft"])]

    def line(self):
        best, ratios = self.best(), self.ratios()
        return (f"{self.peers:>5} {size_text(self.size):>6} {statistics.median(self.medians['weft']):>11.1f} {self.weft_algo:<9}"
                f" {statistics.median(self.medians[best]):>11.1f} {best:<16} {statistics.median(ratios):>6.2f}"
                f"  {min(ratios):.2f} .. {max(ratios):.2f}   {statistics.median(self.others):>5.2f}")

    def report(self):
        return {"peers": self.peers, "size": self.size, "weft_algo": self.weft_algo, "gloo_best": self.best(),
                "p50_us": self.medians, "ratios": self.ratios(), "ratio": statistics.median(self.ratios()),
                "others_cores": self.others, "failed": self.failed}


def main():
    args = arguments()
    weft, gloo = programs(args)
    algorithms = subprocess.run([gloo, "--list"], capture_output=True, text=True, check=True).stdout.split()
    if args.rivals and not set(args.rivals) <= set(algorithms):
        stop(2, f"--rivals: known are {' '.join(algorithms)}")
    algorithms = args.rivals or algorithms
    out = sys.stderr if args.json == "-" else sys.stdout
    cases = [Case(p, s) for p in args.peers for s in args.sizes]
    for turn in range(args.rounds):
        for case in cases:
            bench = [weft, "bench", "allreduce", "-n", str(case.peers), "--link", args.link, "--algo", args.algo,
                     "-b", str(case.size), "--json", "-"]
            runs = [("weft", bench)] + [(a, [gloo, a, str(case.peers), str(case.size)]) for a in algorithms]
            first = turn % len(runs)
            for name, command in runs[first:] + runs[:first]:
                if name not in case.failed:
                    case.measure(name, command, args.others)
    print(f"# median of {args.rounds} rounds; ratio: Gloo's time / weft's, median and range over the rounds;\n"
          "# others: cores that the rest of the machine used meanwhile, median", file=out)
    print(f"#{'peers':>5} {'size':>5} {'weft (us)':>11} {'':<9} {'Gloo (us)':>11} {'its best':<16} {'ratio':>6}  range           others", file=out)
    for case in cases:
        print(case.line(), file=out)
    for case in cases:
        for name, why in case.failed.items():
            print(f"# {case.peers} peers, {size_text(case.size)}, {name} left out: {why}", file=out)
    if args.json:
        report = {"link": args.link, "algo": args.algo, "rounds": args.rounds, "cases": [c.report() for c in cases]}
        text = json.dumps(report, indent=1) + "\n"
        if args.json == "-":
            sys.stdout.write(text)
        else:
            pathlib.Path(args.json).write_text(text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
