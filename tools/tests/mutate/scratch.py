# SPDX-License-Identifier: GPL-2.0
"""Writes a copy of the driver with mutations. The module parameter `mutant` enables one of them."""

import re
from collections.abc import Iterable
from pathlib import Path

from candidates import DRIVER, SWITCH, Mutation

# The function returns true for the mutation whose number the parameter has, and logs each mutation
# that is reached. A test cannot detect a mutation that it does not reach.
FUNCTION = """
/// Returns true if this mutation is enabled.
pub(crate) fn mutant(number: usize) -> bool {{
    use core::sync::atomic::{{
        AtomicBool,
        Ordering::Relaxed, //
    }};
    static REACHED: [AtomicBool; {count}] = [const {{ AtomicBool::new(false) }}; {count}];
    if !REACHED[number].load(Relaxed) && !REACHED[number].swap(true, Relaxed) {{
        kernel::pr_info!("mutation {{number}} is reached\\n");
    }}
    module_parameters::mutant.value() as usize == number
}}
"""
PARAMETER = """    params: {
        mutant: u32 {
            default: 0,
            description: "The number of the enabled mutation",
        },
"""
ERROR = re.compile(
    r"^ *--> (?:.*/)?" + re.escape(str(DRIVER)) + r"/(\S+?):(\d+):\d+$", re.MULTILINE
)


class Stale(Exception):
    """The line of a mutation is no longer in the source."""


def read_list(path: Path) -> dict[int, Mutation]:
    """Returns the mutations of a list, by number."""
    found = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            number, *fields = line.split("\t")
            found[int(number)] = Mutation.parse(fields)
    return found


def line_of(lines: list[str], mutation: Mutation) -> int:
    """Returns the index of the line that a mutation changes."""
    seen = [index for index, line in enumerate(lines) if line.strip() == mutation.before]
    if len(seen) < mutation.occurrence:
        raise Stale(f"{mutation.file}: {mutation.before}")
    return seen[mutation.occurrence - 1]


def apply(tree: Path, mutations: dict[int, Mutation]) -> list[int]:
    """Applies mutations to the driver in `tree`. Returns the numbers of stale mutations."""
    driver = tree / DRIVER
    stale: list[int] = []
    by_file: dict[str, dict[int, Mutation]] = {}
    for number, mutation in mutations.items():
        by_file.setdefault(mutation.file, {})[number] = mutation
    for file, in_file in by_file.items():
        path = driver / file
        if not path.exists():
            stale += in_file
            continue
        lines = path.read_text().splitlines()
        new = lines.copy()
        for number, mutation in in_file.items():
            try:
                index = line_of(lines, mutation)
            except Stale:
                stale.append(number)
                continue
            indent = lines[index][: len(lines[index]) - len(lines[index].lstrip())]
            new[index] = indent + mutation.after.replace(SWITCH, f"crate::mutant({number})")
        path.write_text("\n".join(new) + "\n")
    root = driver / "virtio_crypto.rs"
    text = root.read_text()
    text = text.replace("    params: {\n", PARAMETER, 1)
    root.write_text(text + FUNCTION.format(count=max(mutations, default=0) + 1))
    return sorted(stale)


def rejected(tree: Path, log: str, mutations: Iterable[int]) -> set[int]:
    """Returns the numbers of the mutations whose lines have compiler errors. An error in another
    line is attributed to the last mutation before it, which can leave a type unknown."""
    wanted = set(mutations)
    found: set[int] = set()
    for match in filter(None, map(ERROR.search, _errors(log))):
        lines = (tree / DRIVER / match[1]).read_text().splitlines()
        for line in reversed(lines[: int(match[2])]):
            if numbers := re.findall(r"crate::mutant\((\d+)\)", line):
                found.update(map(int, numbers))
                break
    return found & wanted


def _errors(log: str) -> list[str]:
    """Returns the errors in a compiler's log. The first location of an error is its own."""
    return [part for part in re.split(r"\n\s*\n", log) if re.search(r"^error", part, re.MULTILINE)]
