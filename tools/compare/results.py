# SPDX-License-Identifier: Apache-2.0
"""What was measured: kept by case, system, variant and round; judged; printed; written and read again."""
import json
import math
import os
import pathlib
import statistics


def size_text(size):
    for shift, letter in ((30, "G"), (20, "M"), (10, "K")):
        if size % (1 << shift) == 0:
            return f"{size >> shift}{letter}"
    return str(size)


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


class Case:
    """One number of peers, one size."""

    def __init__(self, peers, size):
        self.peers, self.size = peers, size
        self.runs = {}  # by system, then variant, then round: p50_us, min_us, algo, others
        self.out = {}  # by system, then variant: why it is left out
        self.failures = []  # of what had worked before: system, variant, round, why

    def text(self):
        return f"{self.peers} peers, {size_text(self.size)}"

    def add(self, system, variant, turn, row):
        self.runs.setdefault(system, {}).setdefault(variant, {})[turn] = row

    def leave_out(self, system, variant, why):
        self.out.setdefault(system, {})[variant] = why

    def fail(self, system, variant, turn, why):
        """What never worked is left out; what did has a round less."""
        if self.rounds(system, variant):
            self.failures.append({"system": system, "variant": variant, "round": turn, "why": why})
        else:
            self.leave_out(system, variant, why)

    def failed(self, system):
        return system in self.out or any(failure["system"] == system for failure in self.failures)

    def done(self, system, variant, turn):
        return variant in self.out.get(system, {}) or turn in self.runs.get(system, {}).get(variant, {})

    def rounds(self, system, variant):
        return self.runs.get(system, {}).get(variant, {})

    def median(self, system, variant):
        return statistics.median(row["p50_us"] for row in self.rounds(system, variant).values())

    def best(self, system):
        """The variant whose median over the rounds is least; None when none worked."""
        able = [v for v in self.runs.get(system, {}) if v not in self.out.get(system, {})]
        return min(able, key=lambda v: self.median(system, v), default=None)

    def ratios(self, system):
        """Its best against weft in the same round; empty when there is nothing to compare."""
        best, weft = self.best(system), self.best("weft")
        if best is None or weft is None:
            return []
        theirs, ours = self.rounds(system, best), self.rounds("weft", weft)
        return [theirs[turn]["p50_us"] / ours[turn]["p50_us"] for turn in theirs if turn in ours]

    def prune(self, system, times):
        """After the first round: leave out what took so many times the best."""
        first = {v: rounds[0]["p50_us"] for v, rounds in self.runs.get(system, {}).items() if 0 in rounds}
        for variant, time in first.items():
            if time > times * min(first.values()):
                self.leave_out(system, variant, f"{time / min(first.values()):.1f} times the best in the first round")

    def as_json(self, systems):
        judged = {}
        for system in systems:
            best, ratios = self.best(system), self.ratios(system)
            judged[system] = {"best": best, "p50_us": self.median(system, best) if best else None}
            if system != "weft":
                judged[system].update(ratio=statistics.median(ratios) if ratios else None, ratios=ratios)
        # JSON has no whole numbers as names.
        runs = {s: {v: {str(t): row for t, row in rounds.items()} for v, rounds in variants.items()}
                for s, variants in self.runs.items()}
        return {"peers": self.peers, "size": self.size, "judged": judged, "runs": runs, "left_out": self.out,
                "failures": self.failures}

    def take(self, saved):
        self.out = saved["left_out"]
        self.failures = saved["failures"]
        self.runs = {s: {v: {int(t): row for t, row in rounds.items()} for v, rounds in variants.items()}
                     for s, variants in saved["runs"].items()}


def as_text(about, cases, systems):
    return json.dumps({**about, "cases": [case.as_json(systems) for case in cases]}, indent=1) + "\n"


def write(path, about, cases, systems):
    """All at once, so that who interrupts finds the old file or the new."""
    part = pathlib.Path(f"{path}.part")
    part.write_text(as_text(about, cases, systems))
    os.replace(part, path)


def resume(path, about, cases):
    """Take the runs of a file that was measured alike, and append what cases there are more in it."""
    try:
        saved = json.loads(pathlib.Path(path).read_text())
        for key in ("setting", "weft", "machine", "lab"):
            if saved[key] != about[key]:
                raise ValueError(f"{path}: other {key}: {saved[key]}, now {about[key]}")
        known = {(case.peers, case.size): case for case in cases}
        for row in saved["cases"]:
            place = row["peers"], row["size"]
            if place not in known:
                known[place] = Case(*place)
                cases.append(known[place])
            known[place].take(row)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: no results of compare.py: {error!r}") from error


def bound_us(case, rate):
    """No allreduce is faster where each peer sends and receives so many bits a second."""
    return 2 * (case.peers - 1) / case.peers * case.size * 8 / rate * 1e6


def line(case, system, rate):
    best = case.best(system)
    head = f"{case.peers:>6} {size_text(case.size):>6} {system:<12}"
    if best is None:
        return f"{head} failed"
    rows = case.rounds(system, best).values()
    ran = statistics.mode(row["algo"] for row in rows) if system == "weft" else best
    time = case.median(system, best)
    text = f"{head} {ran:<18} {time:>12.1f}"
    if rate is not None:
        text += f" {bound_us(case, rate) / time * 100:>7.1f}%"
    ratios = case.ratios(system) if system != "weft" else []
    text += f" {statistics.median(ratios):>7.2f}  {min(ratios):>6.2f} .. {max(ratios):<6.2f}" if ratios else f" {'':>7}  {'':<16}"
    return f"{text} {statistics.median(row['others'] for row in rows):>6.2f}"


def print_table(cases, systems, rate, out):
    bound = f" {'of bound':>8}" if rate is not None else ""
    print(f"#{'peers':>5} {'size':>6} {'system':<12} {'algorithm':<18} {'median, us':>12}{bound} {'ratio':>7}  {'range':<16} {'others':>6}",
          file=out)
    for case in sorted(cases, key=lambda c: (c.peers, c.size)):
        for system in systems:
            if system in case.runs or system in case.out:
                print(line(case, system, rate), file=out)


def print_means(cases, rivals, out):
    for rival in rivals:
        ratios = {case: statistics.median(case.ratios(rival)) for case in cases if case.ratios(rival)}
        if not ratios:
            print(f"# {rival}: nothing to compare", file=out)
            continue
        least = min(ratios, key=ratios.get)
        parts = [f"{peers} peers {geometric_mean([r for c, r in ratios.items() if c.peers == peers]):.2f}"
                 for peers in sorted({case.peers for case in ratios})]
        print(f"# {rival}: geometric mean {geometric_mean(ratios.values()):.2f} ({', '.join(parts)});"
              f" least {ratios[least]:.2f} ({least.text()})", file=out)


def run_name(system, variant):
    return system if variant == system else f"{system} {variant}"


def print_left_out(cases, out):
    for case in cases:
        for system, variants in case.out.items():
            for variant, why in variants.items():
                print(f"# {case.text()}, {run_name(system, variant)} left out: {why}", file=out)
        for f in case.failures:
            print(f"# {case.text()}, {run_name(f['system'], f['variant'])} failed in round {f['round'] + 1}: {f['why']}", file=out)
