# SPDX-License-Identifier: GPL-2.0
"""Evaluates the plugin's counts of programs: the difference of two runs, per request."""

import collections
import json
from collections.abc import Iterator
from pathlib import Path

from counts import Measurement, Total, Unusable, functions, noise, per_request, read_folder
from programs import Program

DRIVER = "virtio_crypto_rs"
# If the driver executes fewer instructions for a request, it did not process the request.
MIN_INSTRUCTIONS = 500


def difference(longer: Measurement, shorter: Measurement) -> Measurement:
    """Subtracts the counts of the shorter measurement from those of the longer, by function."""
    result: Measurement = collections.defaultdict(Total)
    for function in longer.keys() | shorter.keys():
        more, less = longer.get(function, Total()), shorter.get(function, Total())
        result[function] = Total(
            more.instructions - less.instructions,
            more.atomics - less.atomics,
            more.calls - less.calls,
        )
    return result


def _check_used(program: Program, measurement: Measurement, requests: int) -> None:
    """Raises Unusable if the driver did not run although the program is measured with it, or if it
    ran although the program is measured without it."""
    executed = sum(
        total.instructions for function, total in measurement.items() if function.module == DRIVER
    )
    if (executed >= MIN_INSTRUCTIONS * requests) != bool(program.device):
        raise Unusable(
            f"{program}: {DRIVER} executed {executed} instructions for {requests} requests"
        )


def results(folder: Path) -> Iterator[dict[str, object]]:
    """Returns the list "programs" of results.json."""
    measured = json.loads((folder / "measured.json").read_text())
    measurements = read_folder(folder)
    for entry in measured["programs"]:
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
            # A rare event can make the short run more expensive than the long run.
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
