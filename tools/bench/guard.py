#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Compares what requests cost with what they may cost.

usage: guard.py check LIMITS FOLDER
       guard.py record LIMITS FOLDER...

"check" prints TAP: of each setting's rounds, in the FOLDER that a guest of the mode guard has left,
the cheapest must be within the limits, with 3 % of room. "record" writes LIMITS anew, from FOLDERs
of the modes guard and single.

How many requests a device has completed when the driver looks depends on the host's scheduler.
So the instructions of a request are told apart from those of a run of the bottom half, and of an
interrupt: both cost the same in all settings. "record" finds out what, by least squares, and
"check" subtracts as many as there were. A run may kick the device once, so of the kicks as many
are subtracted as there were runs.
"""

import dataclasses
import re
import sys
from pathlib import Path

import counts

ROOM = 1.03
# What depends on how often the driver runs, and on nothing of the host's.
INSTRUCTIONS = ("module", "core")
EXACT = ("checksum", "kicks", "allocations", "shared_atomics")
# The first requests of a round are kicked by who makes them: so many kicks for each request.
FIRST_KICKS = 0.05
# Each request may be completed, and announced, by itself.
OF_HOST = ("notifications", "interrupts")
LIMITED = (*INSTRUCTIONS, *EXACT, *OF_HOST)
# Functions that are printed when there is something to explain, and instructions that count.
CHANGES = 15
LEAST = 10
HEAD = """\
# SPDX-License-Identifier: GPL-2.0
#
# What a request may cost: guest instructions of the driver's module, of the core (which includes
# the module), and of checksums; how often the driver asks whether to notify the device (kicks);
# allocations, notifications, interrupts; atomic instructions of the driver and of reference counts
# (shared_atomics), which write what other CPUs may write. What runs of the bottom half and interrupts cost is not in
# a request's instructions but in the first two lines. A kick of each run is not in its kicks.
# Behind each setting are its functions.
#
# tools/bench/record-limits writes this. The test 77-cost allows 3 % more. Whoever makes a request
# cheaper records it anew.
"""

Costs = dict[str, float]


@dataclasses.dataclass
class Limits:
    """The file of limits."""

    run: Costs = dataclasses.field(default_factory=dict)
    interrupt: Costs = dataclasses.field(default_factory=dict)
    settings: dict[str, Costs] = dataclasses.field(default_factory=dict)
    functions: dict[str, Costs] = dataclasses.field(default_factory=dict)

    def of_request(self, costs: Costs) -> Costs:
        """Costs without those of runs and interrupts."""
        found = {name: costs[name] for name in LIMITED}
        found["kicks"] = max(0.0, costs["kicks"] - costs["runs"])
        for name in INSTRUCTIONS:
            found[name] -= costs["runs"] * self.run[name]
            found[name] -= costs["interrupts"] * self.interrupt[name]
        return found

    def best(self, rounds: list[Costs]) -> Costs:
        """The least of each figure."""
        found = [self.of_request(costs) for costs in rounds]
        return {name: min(costs[name] for costs in found) for name in LIMITED}

    def excess(self, setting: str, now: Costs) -> list[str]:
        """What costs more than it may."""
        limits = self.settings[setting]
        return [
            f"{name}: {now[name]:.2f}, limit {limits[name]:.2f}"
            for name in LIMITED
            if now[name] > limits[name] * ROOM + 0.005
        ]

    def changes(self, setting: str, functions: Costs) -> list[str]:
        """Which functions have more instructions than when the limits were recorded."""
        known = self.functions[setting]
        more = {name: count - known.get(name, 0.0) for name, count in functions.items()}
        found = sorted(more.items(), key=lambda item: -item[1])[:CHANGES]
        return [f"{change:+.1f} {name}" for name, change in found if change >= LEAST]


def read(path: Path) -> Limits:
    """Reads the file. Unusable: something is wrong with it."""
    limits = Limits()
    last = ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        problem = counts.Unusable(f"{path}:{number}: neither limits nor a function's instructions")
        if found := re.fullmatch(r"\t(\d+\.\d) (.+)", line):
            if not last:
                raise problem
            limits.functions[last][found[2]] = float(found[1])
            continue
        found = re.fullmatch(r"(.+): (\w+ [\d.]+(, \w+ [\d.]+)*)", line)
        if not found:
            raise problem
        costs = {name: float(figure) for name, figure in map(str.split, found[2].split(", "))}
        name = found[1]
        if set(costs) != set(INSTRUCTIONS if name in ("run", "interrupt") else LIMITED):
            raise problem
        if name == "run":
            limits.run = costs
        elif name == "interrupt":
            limits.interrupt = costs
        else:
            last = name
            limits.settings[name], limits.functions[name] = costs, {}
    if not limits.run or not limits.interrupt:
        raise counts.Unusable(f"{path}: says nothing of a run or an interrupt")
    return limits


def check(limits: Limits, folder: Path) -> None:
    """Prints a test for each setting."""
    found = {str(one.setting): one for one in counts.measured(folder)}
    for name in sorted(limits.settings.keys() - found.keys()):
        print(f"not ok - {name} is measured")
    for name, one in found.items():
        title = f"{name} costs no more than it may"
        if name not in limits.settings:
            print(f"not ok - {title}\n# there is no limit")
            continue
        now = limits.best(one.rounds)
        excess = limits.excess(name, now)
        print(f"{'not ok' if excess else 'ok'} - {title}")
        print("# " + ", ".join(f"{cost} {now[cost]:.2f}" for cost in LIMITED))
        if excess:
            lines = [*excess, "functions that have more instructions:"]
            lines += limits.changes(name, one.functions[-1])
            print("\n".join(f"# {line}" for line in lines))


def fit(series: list[list[Costs]], name: str) -> tuple[float, float]:
    """Returns the cost of a run and of an interrupt, from rounds of several settings. If each run had
    one interrupt in all rounds, the costs cannot be separated: the run gets both."""
    aa = ab = bb = ay = by = 0.0
    for rounds in series:
        mean = {key: sum(one[key] for one in rounds) / len(rounds) for key in rounds[0]}
        for one in rounds:
            a = one["runs"] - mean["runs"]
            b = one["interrupts"] - mean["interrupts"]
            y = one[name] - mean[name]
            aa, ab, bb, ay, by = aa + a * a, ab + a * b, bb + b * b, ay + a * y, by + b * y
    if aa < 1e-6:
        raise counts.Unusable("every round has as many runs: cannot determine what a run costs")
    determinant = aa * bb - ab * ab
    if determinant <= 1e-4 * aa * bb:
        return ay / aa, 0.0
    return (ay * bb - by * ab) / determinant, (by * aa - ay * ab) / determinant


def record(path: Path, folders: list[Path]) -> None:
    """Writes the limits."""
    guarded: dict[str, list[list[Costs]]] = {}
    limits = Limits()
    # Requests that are alike but for the depth, to find out what runs and interrupts cost.
    alike: dict[str, list[Costs]] = {}
    for folder in folders:
        for one in counts.measured(folder):
            name = str(one.setting)
            alike.setdefault(name.rpartition("/")[0], []).extend(one.rounds)
            if folder.name != "guard":
                continue
            guarded.setdefault(name, []).append(one.rounds)
            functions = limits.functions.setdefault(name, {})
            for function, count in one.functions[-1].items():
                functions[function] = max(functions.get(function, 0.0), count)
    for cost in INSTRUCTIONS:
        limits.run[cost], limits.interrupt[cost] = fit(list(alike.values()), cost)
    text = HEAD
    for title, costs in (("run", limits.run), ("interrupt", limits.interrupt)):
        text += _line(title, costs, INSTRUCTIONS)
    for name, guests in guarded.items():
        found = [limits.best(rounds) for rounds in guests]
        most = {cost: max(costs[cost] for costs in found) for cost in LIMITED}
        most |= {cost: max(most[cost], 1.0) for cost in OF_HOST}
        most["kicks"] = max(most["kicks"], FIRST_KICKS)
        text += _line(name, most, LIMITED)
        largest = sorted(limits.functions[name].items(), key=lambda item: (-item[1], item[0]))
        text += "".join(f"\t{count:.1f} {one}\n" for one, count in largest if count >= LEAST)
    path.write_text(text)


def _line(title: str, costs: Costs, names: tuple[str, ...]) -> str:
    return f"{title}: " + ", ".join(f"{name} {costs[name]:.2f}" for name in names) + "\n"


def main() -> None:
    """Does what the command line says."""
    match sys.argv[1:]:
        case ["check", limits, folder]:
            check(read(Path(limits)), Path(folder))
        case ["record", limits, *folders] if folders:
            record(Path(limits), [Path(folder) for folder in folders])
        case _:
            sys.exit("usage: guard.py check LIMITS FOLDER\n       guard.py record LIMITS FOLDER...")


if __name__ == "__main__":
    try:
        main()
    except (counts.Unusable, OSError) as problem:
        sys.exit(f"guard: {problem}")
