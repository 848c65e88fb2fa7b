#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Creates, applies and evaluates mutations of the driver for `mutate`.

usage: mutants.py list PROJECT COUNT SEED
       mutants.py apply LIST TREE REJECTED
       mutants.py reject LIST TREE REJECTED LOG
       mutants.py todo LIST REJECTED RESULTS STAGE [REACHED]
       mutants.py table LIST REJECTED RESULTS
"""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import candidates
import scratch

HEADER = """# SPDX-License-Identifier: GPL-2.0
# Mutations of the driver: number, kind, file, occurrence of the line among the file's equal lines,
# the line, and its new text.
# Made by "tools/tests/mutate/mutate list {count} {seed}".
"""


def numbers(path: Path) -> set[int]:
    """Returns the numbers in a file, or none if it does not exist."""
    return {int(word) for word in path.read_text().split()} if path.exists() else set()


def results(path: Path) -> list[tuple[int, str, str, str]]:
    """Returns number, stage, outcome and reason of each result."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        number, stage, outcome, reason = (line.split("\t") + [""])[:4]
        found.append((int(number), stage, outcome, reason))
    return found


def make_list(project: str, count: str, seed: str) -> None:
    """Prints a list of mutations."""
    found = candidates.candidates(Path(project) / candidates.DRIVER)
    print(HEADER.format(count=count, seed=seed), end="")
    for number, one in enumerate(candidates.choose(found, int(count), int(seed)), 1):
        print("\t".join([str(number), *one.fields()]))


def apply(list_path: str, tree: str, rejected: str) -> None:
    """Applies the mutations that are not rejected, and prints the stale ones."""
    bad = numbers(Path(rejected))
    mutations = scratch.read_list(Path(list_path))
    kept = {number: one for number, one in mutations.items() if number not in bad}
    for number in scratch.apply(Path(tree), kept):
        print(number)


def reject(list_path: str, tree: str, rejected: str, log: str) -> None:
    """Adds the mutations that do not build to REJECTED. Exit status 1 if there is none."""
    path = Path(rejected)
    mutations = scratch.read_list(Path(list_path))
    found = scratch.rejected(Path(tree), Path(log).read_text(), mutations)
    path.write_text("\n".join(map(str, sorted(numbers(path) | found))) + "\n")
    print(f"{len(found)} mutations do not build: {' '.join(map(str, sorted(found)))}")
    sys.exit(not found)


def todo(list_path: str, rejected: str, results_path: str, stage: str, reached: str = "") -> None:
    """Prints the mutations that a stage must test: no test has detected them, the stage has not
    tested them, and its tests reach them, as far as this is known."""
    left = set(scratch.read_list(Path(list_path))) - numbers(Path(rejected))
    for number, tried, outcome, _ in results(Path(results_path)):
        if outcome != "survived" or tried == stage:
            left.discard(number)
    if reached and Path(reached).exists():
        left &= numbers(Path(reached))
    print(*sorted(left))


def table(list_path: str, rejected: str, results_path: str) -> None:
    """Prints the result of each mutation, and the number of mutations for each result."""
    bad = numbers(Path(rejected))
    outcome: dict[int, str] = {}
    for number, stage, verdict, reason in results(Path(results_path)):
        if verdict == "noticed":
            outcome[number] = f"noticed by {stage}: {reason}"
        elif verdict == "equivalent":
            outcome[number] = f"equivalent: {reason}"
        elif verdict == "survived" and not outcome.get(number, "").startswith(
            ("noticed", "equivalent")
        ):
            outcome[number] = (outcome.get(number, "survived") + f" {stage}").strip()
    counts: Counter[str] = Counter()
    for number, one in scratch.read_list(Path(list_path)).items():
        text = "does not build" if number in bad else outcome.get(number, "not reached")
        counts[text.split(":")[0] if not text.startswith("survived") else "survived"] += 1
        print(f"{number}\t{one.kind}\t{one.file}\t{one.before}\t{text}")
    for text, count in sorted(counts.items()):
        print(f"# {count} {text}")


COMMANDS: dict[str, Callable[..., None]] = {
    "list": make_list,
    "apply": apply,
    "reject": reject,
    "todo": todo,
    "table": table,
}


def main() -> None:
    """Runs the command in the first argument."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
