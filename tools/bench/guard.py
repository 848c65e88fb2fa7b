#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Compares the costs of requests with recorded limits.

usage: guard.py check LIMITS FOLDER
       guard.py record LIMITS FOLDER...

"check" prints TAP. FOLDER contains the measurements of a guest of the mode guard. A setting is an
algorithm with an implementation, a device, a size and a depth (settings.py). A guest measures each
setting in several rounds. For each setting, "check" takes the lowest costs of all rounds. These
costs may exceed the limits by 3 %. "record" replaces LIMITS. It needs FOLDERs of the modes guard
and single (settings.py).

The host's scheduler determines how many requests the device has completed when the driver's bottom
half runs. Therefore the costs of a request exclude the costs of a run of the bottom half and of an
interrupt, which are the same in all settings. "record" determines these costs by least squares.
"check" subtracts them for each run and interrupt. A call of virtqueue_kick_prepare(), which tells
the driver whether it must notify the device, counts as a kick. A run of the bottom half may make
one such call, so "check" also subtracts one kick for each run.
"""

import dataclasses
import re
import sys
from pathlib import Path

import counts

TOLERANCE = 1.03
# The costs to which each run of the bottom half and each interrupt adds.
INSTRUCTIONS = ("module", "core")
# The costs that do not depend on the host.
EXACT = ("checksum", "kicks", "allocations", "shared_atomics")
# The module vc_bench makes the requests. It makes the first requests of a round outside the bottom
# half, which adds up to this number of kicks per request.
FIRST_KICKS = 0.05
# The costs that depend on the host, which may complete requests one by one. The limit of each of
# these costs is at least 1.
HOST_DEPENDENT = ("notifications", "interrupts")
LIMITED = (*INSTRUCTIONS, *EXACT, *HOST_DEPENDENT)
# At most MAX_CHANGES functions are printed if a limit is exceeded. MIN_INSTRUCTIONS is the smallest
# count that is recorded, and the smallest change that is printed.
MAX_CHANGES = 15
MIN_INSTRUCTIONS = 10
# The file of limits has two decimals, so a limit may be this much too low.
ROUNDING = 0.005
HEAD = """\
# SPDX-License-Identifier: GPL-2.0
#
# The limits for the costs of a request: guest instructions of the driver's module, of the core
# (all modules except vc_bench, and the kernel's functions that a driver uses; see counts.py), and
# of checksums; the number of times the driver asks whether to notify the device (kicks);
# allocations, notifications and interrupts; atomic instructions of the driver's module and of the
# kernel crate's C helpers, for example for reference counts (shared_atomics).
#
# The first two lines are the costs of a run of the bottom half and of an interrupt. They are not
# part of a request's instructions. One kick for each run is not part of a request's kicks. The
# lines after a setting are the instructions of its functions.
#
# tools/bench/record-limits writes this file. The test 77-cost allows 3 % more. After a change that
# makes requests cheaper, run record-limits again.
"""

Costs = dict[str, float]


@dataclasses.dataclass
class Limits:
    """The contents of the file of limits: the costs of a run and of an interrupt, and for each
    setting its limits and the instructions of its functions."""

    run: Costs = dataclasses.field(default_factory=dict)
    interrupt: Costs = dataclasses.field(default_factory=dict)
    settings: dict[str, Costs] = dataclasses.field(default_factory=dict)
    functions: dict[str, Costs] = dataclasses.field(default_factory=dict)

    def of_request(self, costs: Costs) -> Costs:
        """Returns the costs of a request, without those of runs and interrupts."""
        result = {name: costs[name] for name in LIMITED}
        result["kicks"] = max(0.0, costs["kicks"] - costs["runs"])
        for name in INSTRUCTIONS:
            result[name] -= costs["runs"] * self.run[name]
            result[name] -= costs["interrupts"] * self.interrupt[name]
        return result

    def lowest(self, rounds: list[Costs]) -> Costs:
        """Returns the lowest value of each cost of a request."""
        requests = [self.of_request(costs) for costs in rounds]
        return {name: min(costs[name] for costs in requests) for name in LIMITED}

    def excess(self, setting: str, measured: Costs) -> list[str]:
        """Returns a line for each cost that exceeds its limit."""
        limits = self.settings[setting]
        return [
            f"{name}: {measured[name]:.2f}, limit {limits[name]:.2f}"
            for name in LIMITED
            if measured[name] > limits[name] * TOLERANCE + ROUNDING
        ]

    def changes(self, setting: str, functions: Costs) -> list[str]:
        """Returns the functions that have more instructions than recorded."""
        recorded = self.functions[setting]
        more = {name: count - recorded.get(name, 0.0) for name, count in functions.items()}
        largest = sorted(more.items(), key=lambda item: -item[1])[:MAX_CHANGES]
        return [f"{change:+.1f} {name}" for name, change in largest if change >= MIN_INSTRUCTIONS]


def read(path: Path) -> Limits:
    """Reads the file. Raises Unusable if the file is invalid."""
    limits = Limits()
    setting = ""  # the setting to which the next functions belong
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        error = counts.Unusable(f"{path}:{number}: neither limits nor a function's instructions")
        if match := re.fullmatch(r"\t(\d+\.\d) (.+)", line):
            if not setting:
                raise error
            limits.functions[setting][match[2]] = float(match[1])
            continue
        match = re.fullmatch(r"(.+): (\w+ [\d.]+(, \w+ [\d.]+)*)", line)
        if not match:
            raise error
        costs = {name: float(figure) for name, figure in map(str.split, match[2].split(", "))}
        name = match[1]
        if set(costs) != set(INSTRUCTIONS if name in ("run", "interrupt") else LIMITED):
            raise error
        if name == "run":
            limits.run = costs
        elif name == "interrupt":
            limits.interrupt = costs
        else:
            setting = name
            limits.settings[name], limits.functions[name] = costs, {}
    if not limits.run or not limits.interrupt:
        raise counts.Unusable(f"{path}: the costs of a run or of an interrupt are missing")
    return limits


def check(limits: Limits, folder: Path) -> None:
    """Prints a test for each setting."""
    measurements = {str(found.setting): found for found in counts.measured(folder)}
    for name in sorted(limits.settings.keys() - measurements.keys()):
        print(f"not ok - {name}: measured")
    for name, measurement in measurements.items():
        title = f"{name}: costs within the limits"
        if name not in limits.settings:
            print(f"not ok - {title}\n# the limits have no such setting")
            continue
        costs = limits.lowest(measurement.rounds)
        excess = limits.excess(name, costs)
        print(f"{'not ok' if excess else 'ok'} - {title}")
        print("# " + ", ".join(f"{cost} {costs[cost]:.2f}" for cost in LIMITED))
        if excess:
            lines = [*excess, "functions that have more instructions:"]
            # As in the report, the functions are those of the last round.
            lines += limits.changes(name, measurement.functions[-1])
            print("\n".join(f"# {line}" for line in lines))


def fit(groups: list[list[Costs]], name: str) -> tuple[float, float]:
    """Returns the costs of a run and of an interrupt. `name` is the kind of cost.

    The rounds of a group may differ in runs and interrupts. The remaining costs of a request are
    the same in all rounds of the group. The result minimizes the sum of the squares of
    y - run * a - interrupt * b. Here a, b and y are the runs, interrupts and costs of a round, each
    minus its mean in the group. If each run had one interrupt in all rounds, the costs cannot be
    separated, and the run gets both.
    """
    aa = ab = bb = ay = by = 0.0
    for rounds in groups:
        mean = {key: sum(costs[key] for costs in rounds) / len(rounds) for key in rounds[0]}
        for costs in rounds:
            a = costs["runs"] - mean["runs"]
            b = costs["interrupts"] - mean["interrupts"]
            y = costs[name] - mean[name]
            aa, ab, bb, ay, by = aa + a * a, ab + a * b, bb + b * b, ay + a * y, by + b * y
    if aa < 1e-6:
        raise counts.Unusable(
            "all rounds have the same number of runs, so the cost of a run is unknown"
        )
    determinant = aa * bb - ab * ab
    if determinant <= 1e-4 * aa * bb:
        return ay / aa, 0.0
    return (ay * bb - by * ab) / determinant, (by * aa - ay * ab) / determinant


def record(path: Path, folders: list[Path]) -> None:
    """Writes the limits. For each guest of the mode guard and each setting, takes the lowest costs
    of all rounds, as "check" does. The limits of a setting are the highest of these costs in all
    guests."""
    guarded: dict[str, list[list[Costs]]] = {}
    limits = Limits()
    # The rounds of settings that differ only in depth, by the settings' names without the depth.
    # The fit assumes that the depth only changes the number of runs and interrupts of a request. So
    # these rounds determine the costs of runs and interrupts.
    rounds_of_all_depths: dict[str, list[Costs]] = {}
    for folder in folders:
        for measurement in counts.measured(folder):
            name = str(measurement.setting)
            without_depth = name.rpartition("/")[0]
            rounds_of_all_depths.setdefault(without_depth, []).extend(measurement.rounds)
            if folder.name != "guard":
                continue
            guarded.setdefault(name, []).append(measurement.rounds)
            functions = limits.functions.setdefault(name, {})
            for function, count in measurement.functions[-1].items():
                functions[function] = max(functions.get(function, 0.0), count)
    for cost in INSTRUCTIONS:
        groups = list(rounds_of_all_depths.values())
        limits.run[cost], limits.interrupt[cost] = fit(groups, cost)
    text = HEAD
    for title, costs in (("run", limits.run), ("interrupt", limits.interrupt)):
        text += _line(title, costs, INSTRUCTIONS)
    for name, guests in guarded.items():
        lowest = [limits.lowest(rounds) for rounds in guests]
        most = {cost: max(costs[cost] for costs in lowest) for cost in LIMITED}
        most |= {cost: max(most[cost], 1.0) for cost in HOST_DEPENDENT}
        most["kicks"] = max(most["kicks"], FIRST_KICKS)
        text += _line(name, most, LIMITED)
        largest = sorted(limits.functions[name].items(), key=lambda item: (-item[1], item[0]))
        recorded = [item for item in largest if item[1] >= MIN_INSTRUCTIONS]
        text += "".join(f"\t{count:.1f} {function}\n" for function, count in recorded)
    path.write_text(text)


def _line(title: str, costs: Costs, names: tuple[str, ...]) -> str:
    return f"{title}: " + ", ".join(f"{name} {costs[name]:.2f}" for name in names) + "\n"


def main() -> None:
    """Runs the command."""
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
