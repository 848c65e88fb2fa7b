# SPDX-License-Identifier: GPL-2.0
"""Evaluates the plugin's counts of programs: the difference of two runs, per request."""

import collections
import json
from collections.abc import Iterator
from pathlib import Path

from counts import Measurement, Total, Unusable, functions, left, noise, per_request
from programs import Program

DRIVER = "virtio_crypto_rs"
# The least instructions that the driver executes for a request if it takes part in the request.
LEAST = 500


def difference(longer: Measurement, shorter: Measurement) -> Measurement:
    """Subtracts the counts of the shorter measurement from those of the longer, by function."""
    found: Measurement = collections.defaultdict(Total)
    for function in longer.keys() | shorter.keys():
        more, less = longer.get(function, Total()), shorter.get(function, Total())
        found[function] = Total(
            more.instructions - less.instructions,
            more.atomics - less.atomics,
            more.calls - less.calls,
        )
    return found


def _check_used(program: Program, measurement: Measurement, requests: int) -> None:
    """Raises Unusable unless the driver was used exactly if the program is measured with it."""
    own = sum(total.instructions for one, total in measurement.items() if one.module == DRIVER)
    if (own >= LEAST * requests) != bool(program.device):
        raise Unusable(f"{program}: {DRIVER} executed {own} instructions for {requests} requests")


def results(folder: Path) -> Iterator[dict[str, object]]:
    """Returns the list "programs" of results.json."""
    found = json.loads((folder / "measured.json").read_text())
    measurements = left(folder)
    for entry in found["programs"]:
        program = Program(**entry["program"])
        rounds = []
        for number, (few, many) in enumerate(entry["requests"]):
            mark = entry["mark"] + 2 * number
            if mark not in measurements or mark + 1 not in measurements:
                raise Unusable(f"{program}: the plugin has no complete measurement of it")
            if many <= few:
                raise Unusable(f"{program}: the long run made as few requests as the short run")
            more = difference(measurements[mark + 1], measurements[mark])
            _check_used(program, more, many - few)
            costs = per_request(more, entry["modules"], many - few)
            # A rare event can happen in the short run only.
            costs = {name: max(cost, 0.0) for name, cost in costs.items()}
            rounds.append((costs, many - few, functions(more, many - few)))
        costs, requests, by_function = rounds[-1]
        yield {
            "program": program.program,
            "algorithm": program.algorithm,
            "who": program.who,
            "driver": entry["driver"],
            "device": program.device,
            "size": program.size,
            "depth": program.depth,
            "requests": requests,
            "per_request": costs,
            "noise": noise(rounds[-2][0]["whole"], costs["whole"]),
            "functions": by_function,
        }
