#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dense float32 sum allreduce: weft side by side with Gloo, Open MPI and MPICH, one process a rank, on this
machine or in a lab of tools/lab.sh; and beside a bare round trip of ZeroMQ (zmq, of two processes), which is no
allreduce: one message of the size there and back.

Every round runs weft and each variant of each rival once for each number of peers and size, in an order that
turns from round to round. All time alike: slowest process of each operation, between barriers; median over
the operations. ratio: time of the rival's best variant / weft's, median and range over the rounds: above 1
weft is faster. others: cores that the rest of the machine used meanwhile, median over the rounds."""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

import machine
import results
import systems

SKIPPED = 77  # as meson and automake understand it


def stop(status, what):
    print(f"compare.py: {what}", file=sys.stderr)
    sys.exit(status)


def size_of(text):
    """'4M' is 4 MiB, as the program weft reads it."""
    found = re.fullmatch(r"(\d+)([KMG]?)", text, flags=re.I)
    size = int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()] if found else 0
    if size < 4 or size > 1 << 32:
        raise argparse.ArgumentTypeError(f"'{text}' is no size from 4 bytes to 4G, such as 16K or 4M")
    return size


def count_of(least, most):
    def parse(text):
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} to {most}")
        return int(text)

    return parse


def number_of(least, most):
    def parse(text):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is no number from {least:g} to {most:g}")
        return value

    return parse


def several(parse):
    """Items apart by commas."""
    def parse_all(text):
        return [parse(word) for word in text.split(",")]

    parse_all.__name__ = "list"
    return parse_all


def arguments():
    parser = argparse.ArgumentParser(prog="compare.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("-n", "--peers", type=several(count_of(2, 1024)), nargs="+", default=[[4]], metavar="P", help="numbers of processes (4)")
    add("-s", "--sizes", type=several(size_of), nargs="+", default=[[4 << 20, 64 << 20]], metavar="BYTES", help="vector sizes (4M 64M)")
    add("-r", "--rounds", type=count_of(1, 1000), default=5, help="how often everything runs (5)")
    add("--against", default="gloo", metavar="RIVALS",
        help="apart by commas (gloo): gloo, openmpi, openmpi-tcp, mpich, zmq; with some of its variants:\ngloo:ring+bcube, openmpi-tcp:default+ring+inplace")
    add("--link", choices=("tcp", "ipc"), default="tcp", help="of weft (tcp)")
    add("--algo", default="auto", metavar="SPEC", help="of weft (auto)")
    add("-i", "--iters", type=count_of(0, 1000000), default=0, help="timed operations of a run; 0: at least 5, until 0.3 s (0)")
    add("-w", "--warmups", type=count_of(0, 1000000), default=2, help="operations before them (2)")
    add("--lab", metavar="NAME", help="in this lab, which is up (tools/lab.sh), instead of on this machine")
    add("--prune", type=number_of(1, 1e6), metavar="X", help="after the first round leave out variants that took X times their\nrival's best")
    add("--others", type=number_of(0, 1e6), metavar="CORES",
        help="wait until the rest of the machine uses no more than so many cores,\nand repeat a run during which it did; of %d the quietest counts" % machine.TRIES)
    add("--timeout", type=number_of(1, 1e6), default=120.0, metavar="SECONDS", help="a run that takes longer is ended and left out (120)")
    add("--weft", metavar="PROGRAM", help="else WEFT_TOOL, else weft of the PATH")
    add("--programs", metavar="FOLDER", type=pathlib.Path, help="with the rivals' programs; else compare/ beside weft")
    add("--json", metavar="FILE", help="every median of every round, written after every run; - is stdout")
    add("--resume", action="store_true", help="go on with what the FILE of --json holds, if it is there: only what it\nlacks is run; with the same build of weft")
    add("-q", "--quiet", action="store_true", help="no line on stderr for every run")
    args = parser.parse_args()
    args.peers = sorted({p for group in args.peers for p in group})
    args.sizes = sorted({s for group in args.sizes for s in group})
    if args.resume and args.json in (None, "-"):
        parser.error("--resume needs --json FILE")
    if args.lab and args.link != "tcp":
        parser.error(f"--link {args.link} does not lead through a lab")
    if args.lab is not None and not re.fullmatch(r"[A-Za-z0-9_]{1,32}", args.lab):
        parser.error(f"--lab '{args.lab}' is no name of a lab")
    return args


def lab_about(name, peers):
    """Its links, and their rate in bits a second if it is the same everywhere."""
    told = subprocess.run(["sh", str(systems.LAB), "status", "--name", name], capture_output=True, text=True)
    if told.returncode != 0:
        stop(2, f"--lab {name}: {told.stderr.strip()}")
    there = len(re.findall(r"^peer \d+,", told.stdout, flags=re.M))
    if there < peers:
        stop(2, f"--lab {name} has {there} peers, {peers} are wanted")
    links = re.findall(r"^peer .*?: sends (.*); receives (.*)$", told.stdout, flags=re.M)
    ends = {end.strip() for link in links for end in link}
    found = re.match(r"([\d.]+)([KMGT]?)bit,", ends.copy().pop()) if len(ends) == 1 else None
    rate = float(found[1]) * 1000 ** " KMGT".index(found[2] or " ") if found else None
    return {"links": sorted(ends), "rate": rate}, told.stdout.splitlines()


class Campaign:
    """All cases, system by system, round by round."""

    def __init__(self, args, about, weft, rivals):
        self.args, self.about = args, about
        self.weft, self.rivals = weft, rivals
        self.systems = [system.name for system in (weft, *rivals)]
        self.wanted = [results.Case(p, s) for p in args.peers for s in args.sizes]
        self.cases = list(self.wanted)  # and those of a file that is resumed

    def save(self):
        if self.args.json not in (None, "-"):
            results.write(self.args.json, self.about, self.cases, self.systems)

    def measure(self, case, system, variant, turn):
        command, env = system.command(variant, case.peers, case.size)
        ended, others = machine.run_quietly(command, env, self.args.timeout, self.args.others)
        if not ended.late and ended.status == 0:
            row = {**system.read(ended.stdout), "others": round(others, 3)}
            case.add(system.name, variant, turn, row)
            return f"{row['p50_us']:.1f} us, others {row['others']:.2f}"
        why = f"no end within {self.args.timeout:g} s"
        if not ended.late:
            # What it says first is why; the rest is what followed from it.
            told = [line for line in ended.stderr.splitlines() if line.strip(" -=")] or ["wrong result"]
            why = f"status {ended.status}: {told[0].strip()}"
        case.fail(system.name, variant, turn, why)
        return f"failed: {why}"

    def round(self, turn):
        for case in self.wanted:
            runs = [(system, variant) for system in (self.weft, *self.rivals) for variant in system.variants]
            first = turn % len(runs)
            for system, variant in runs[first:] + runs[:first]:
                if case.done(system.name, variant, turn):
                    continue
                told = self.measure(case, system, variant, turn)
                self.save()
                if not self.args.quiet:
                    name = results.run_name(system.name, variant)
                    print(f"round {turn + 1} of {self.args.rounds}, {case.text()}, {name}: {told}", file=sys.stderr, flush=True)
            if turn == 0 and self.args.prune is not None:
                for rival in self.rivals:
                    case.prune(rival.name, self.args.prune)
                self.save()

    def report(self, out):
        print(f"# medians of {self.args.rounds} rounds; ratio: the rival's time / weft's, above 1 weft is faster", file=out)
        for rival in self.rivals:
            if rival.told is not None:
                print(f"# {rival.name}: {rival.told}", file=out)
        results.print_table(self.cases, self.systems, (self.about["lab"] or {}).get("rate"), out)
        results.print_means(self.cases, self.systems[1:], out)
        results.print_left_out(self.cases, out)


def main():
    args = arguments()
    weft = args.weft or os.environ.get("WEFT_TOOL") or "weft"
    found = shutil.which(weft)
    if found is None:
        stop(2, f"no program {weft}: name it with --weft, or run in 'meson devenv -C BUILD'")
    programs = args.programs or pathlib.Path(found).resolve().parent / "compare"
    setting = systems.Setting(os.path.abspath(found), programs.resolve(), args.link, args.algo, args.iters, args.warmups, args.lab)
    try:
        rivals = systems.rivals(args.against, setting, args.peers)
    except systems.Impossible as error:
        stop(SKIPPED, f"skipped: {error}")
    except ValueError as error:
        stop(2, f"--against: {error}")
    out = sys.stderr if args.json == "-" else sys.stdout
    about = {"setting": {"link": args.link, "algo": args.algo, "iters": args.iters, "warmups": args.warmups},
             "weft": subprocess.run([found, "--version"], capture_output=True, text=True).stdout.strip(),
             "machine": machine.describe(), "lab": None}
    if args.lab is not None:
        about["lab"], told = lab_about(args.lab, max(args.peers))
        for line in told:
            print(f"# {line}", file=out)
    campaign = Campaign(args, about, systems.Weft(setting), rivals)
    if args.resume and os.path.exists(args.json):
        try:
            results.resume(args.json, about, campaign.cases)
        except ValueError as error:
            stop(2, f"--resume: {error}")
    for turn in range(args.rounds):
        campaign.round(turn)
    campaign.report(out)
    if args.json == "-":
        sys.stdout.write(results.as_text(about, campaign.cases, campaign.systems))
    # A rival that fails is told in the table; weft that fails is a failure.
    return 1 if any(case.failed("weft") for case in campaign.wanted) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        stop(1, str(error))
