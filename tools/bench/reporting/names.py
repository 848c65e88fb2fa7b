# SPDX-License-Identifier: GPL-2.0
"""Shortens the names of functions for legends."""

import re

# The path of a method of `impl TRAIT for TYPE`: <TYPE as TRAIT>::METHOD.
_IMPLEMENTATION = re.compile(r"^<(.*)>::([^<>]+)$")
# The number of parts of a path that short() keeps.
KEPT_PARTS = 3


def short(name: str) -> str:
    """Returns the last parts of a Rust function's path, without type parameters. For a method of a
    trait these include the type, not the trait. Names of C functions do not change."""
    if "::" not in name:
        return name
    name = _without_parameters(name)
    if match := _IMPLEMENTATION.match(name):
        implementer, method = match.groups()
        name = f"{implementer.rpartition(' as ')[0] or implementer}::{method}".lstrip("<")
    return "::".join(name.split("::")[-KEPT_PARTS:])


def _without_parameters(name: str) -> str:
    """Removes `<...>` after a name, and `::<...>`. Keeps `<...>` at the start of a path."""
    result, depth = "", 0
    for index, letter in enumerate(name):
        opens = letter == "<" and (depth or (index and name[index - 1] not in "<&( "))
        if opens:
            depth += 1
        elif letter == ">" and depth:
            depth -= name[index - 1] != "-"  # not for the end of ->
        elif not depth:
            result += letter
    return result.replace("::::", "::").removesuffix("::")


def shortened(functions: dict[str, float]) -> dict[str, float]:
    """Returns the instructions by short name, added for functions with the same short name."""
    sums: dict[str, float] = {}
    for name, value in functions.items():
        sums[short(name)] = sums.get(short(name), 0.0) + value
    return sums
