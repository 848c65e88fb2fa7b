#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Finds circular dependencies between the modules of a Rust crate.

usage: circles.py FOLDER...

A FOLDER is the src folder of a crate. Prints a line for each circle of modules. Exit status 1 if
there is one. Tests are ignored.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

USE = re.compile(r"\b(crate|super)((?:::\w+)+)")
USE_LIST = re.compile(r"\buse (crate|super)((?:::\w+)*)::\{([^;]*)\};")
USE_CHILD = re.compile(r"^(?:pub )?use (\w+)::", re.M)
COMMENT = re.compile(r"^\s*//.*$", re.M)


def modules(folder: Path) -> dict[str, str]:
    """Returns the code of a crate's modules, without tests, by path such as queue::context."""
    found = {}
    for path in folder.rglob("*.rs"):
        name = path.relative_to(folder).with_suffix("")
        if name.name not in ("lib", "main") and "tests" not in name.parts:
            code = COMMENT.sub("", path.read_text())
            found["::".join(name.parts)] = code.split("#[cfg(test)]\nmod ")[0]
    return found


def paths(module: str, code: str) -> Iterator[list[str]]:
    """Yields the paths that a module uses, relative to the crate's root."""
    parent = module.split("::")[:-1]
    for root, path in USE.findall(code):
        yield (parent if root == "super" else []) + path.split("::")[1:]
    for root, path, names in USE_LIST.findall(code):
        begin = (parent if root == "super" else []) + path.split("::")[1:]
        for name in re.findall(r"\w+", names):
            yield [*begin, name]
    for name in USE_CHILD.findall(code):
        yield [*module.split("::"), name]


def uses(codes: dict[str, str]) -> dict[str, set[str]]:
    """Returns the modules that each module uses."""
    graph: dict[str, set[str]] = {}
    for module, code in codes.items():
        graph[module] = set()
        for path in paths(module, code):
            prefixes = ("::".join(path[:length]) for length in range(len(path), 0, -1))
            used = next((prefix for prefix in prefixes if prefix in codes), module)
            graph[module].add(used)
        graph[module].discard(module)
    return graph


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Returns the modules that a module uses, directly or indirectly."""
    found: set[str] = set()
    pending = list(graph[start])
    while pending:
        module = pending.pop()
        if module not in found:
            found.add(module)
            pending.extend(graph[module])
    return found


def circles(graph: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """Returns the modules of each circle."""
    reach = {module: reachable(graph, module) for module in graph}
    return {
        tuple(sorted(other for other in reach[module] if module in reach[other]))
        for module in graph
        if module in reach[module]
    }


def main() -> int:
    """Prints the circles."""
    count = 0
    for folder in map(Path, sys.argv[1:]):
        codes = modules(folder)
        if not codes:
            print(f"{folder}: there is no code")
            return 1
        for circle in sorted(circles(uses(codes))):
            print(f"{folder}: {' '.join(circle)}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
