# SPDX-License-Identifier: GPL-2.0
"""Finds lines of the driver that can be mutated, and chooses some of them by a seed.

A mutation changes one line. Its new text calls `mutant()`, which returns true if this mutation is
enabled, so one build contains all mutations. Comments, tests and log messages are not mutated.
"""

import dataclasses
import random
import re
from collections.abc import Iterator
from pathlib import Path

DRIVER = Path("drivers/crypto/virtio_rs")
# Percentage of mutations in each layer.
SHARES = {
    "support": 8,
    "virtio": 14,
    "crypto": 22,
    "wire": 14,
    "transport": 22,
    "algorithms": 17,
    "": 3,
}
SWITCH = "mutant()"

_OPERAND = r"\*?\w+(?:(?:\.|::)\w+(?:\(\))?)*"
_CONDITION = re.compile(r"^(\s*(?:\} else )?if )(?!let )([^{}]+)( \{)$")
_GUARD = re.compile(r"^(.*\S if )(?!let )([^{}=]+(?:[=!]=[^{}=]+)?)( => .*)$")
_TAIL = re.compile(r"^(\s+)((?![&|.])[^;{}]* (?:==|!=|<|<=|>|>=|&&|\|\|) [^;{}]*[^;{},&|])()$")
_JOINED = re.compile(r"^([^&|]+) (&&|\|\|) ([^&|]+)$")
_CALL = re.compile(r"^(\s+)((?:unsafe \{ )?(?!\.)[\w.:&*<>()?]*\w\(.*\)\??(?: \})?;)$")
_STEP = re.compile(r"(?<=[\w)] )([+-]) 1\b(?![\w.])")
_SATURATING = re.compile(r"(saturating_(?:add|sub))\(1\)")
_COMPARED = re.compile(
    rf"(?<![\w.)\]*] )(?<![\w.)\]*&:])({_OPERAND}) (<=?|>=?) ({_OPERAND})(?=[;,)]| \{{| &&| \|\||$)"
)
_TWO_ARGUMENTS = re.compile(r"(?<![\w.:!])((?:\w+(?:\(\))?[.:]{1,2})*\w+)\(([\w.&]+), ([\w.&]+)\)(?!.*=>)")
_FLAG = re.compile(r"^(\s+[\w.]+ = (?:true|false))(;)$")
_NOT_MUTATED = re.compile(
    r"^\s*(//|#\[|pub|fn |const |static |use |mod |impl|let |return|assert|pr_|dev_|kernel::|"
    r"static_assert|debug_assert|unsafe fn|extern|macro|where|type |trait|struct |enum |compile_error|"
    r"build_assert)"
)
_WIPES = re.compile(r"wipe|memzero|poison|\.clear\(|clear_stale|UNWRITTEN")
_KICKS = re.compile(
    r"kick|\.notify\(|virtqueue_notify|schedule\(|queue_delayed|queue_bh|arm_watchdog|watch\("
)
_BARRIERS = re.compile(
    r"rcu_barrier|synchronize|fence|disable_|enable_|cancel|shut\(|detach|device_(un)?lock|drop\(locked"
)


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A line, and its mutated text."""

    file: str
    # The number of the line among equal lines of the file, from 1.
    occurrence: int
    before: str
    after: str
    kind: str

    def fields(self) -> list[str]:
        """Returns the fields for a line of the list."""
        return [self.kind, self.file, str(self.occurrence), self.before, self.after]

    @classmethod
    def parse(cls, fields: list[str]) -> "Mutation":
        """Returns the mutation with these fields."""
        kind, file, occurrence, before, after = fields
        return cls(file, int(occurrence), before, after, kind)

    @property
    def layer(self) -> str:
        """Returns the layer of the driver."""
        return layer(self.file)


def layer(file: str) -> str:
    """Returns the layer of a file below the driver's folder, or an empty string for the driver
    itself."""
    name = file.partition("/")[0].removesuffix(".rs")
    return name if name in SHARES else ""


def _kind_of_call(text: str) -> str:
    for kind, pattern in (("wipe", _WIPES), ("kick", _KICKS), ("barrier", _BARRIERS)):
        if pattern.search(text):
            return kind
    return "call"


def _conditions(line: str, before: str, after: str) -> Iterator[tuple[str, str]]:
    """Yields the mutations of a condition, or of a comparison that is the result of a function."""
    match = _CONDITION.match(line) or _GUARD.match(line)
    if not match and re.search(r"[{;]$", before) and after.strip() == "}":
        match = _TAIL.match(line)
    if not match or " let " in line or match[2].count("(") != match[2].count(")"):
        return
    yield "condition", f"{match[1]}({match[2]}) != {SWITCH}{match[3]}"
    if joined := _JOINED.match(match[2]):
        other = {"&&": "||", "||": "&&"}[joined[2]]
        new = f"(if {SWITCH} {{ {joined[1]} {other} {joined[3]} }} else {{ {match[2]} }})"
        yield "operator", match[1] + new + match[3]


def _bounds(line: str) -> Iterator[tuple[str, str]]:
    """Yields the mutations that shift a bound by one."""
    for match in _STEP.finditer(line):
        new = f"{match[1]} (if {SWITCH} {{ 0 }} else {{ 1 }})"
        yield "bound", line[: match.start()] + new + line[match.end() :]
    for match in _SATURATING.finditer(line):
        new = f"{match[1]}(if {SWITCH} {{ 0 }} else {{ 1 }})"
        yield "bound", line[: match.start()] + new + line[match.end() :]
    for match in _COMPARED.finditer(line):
        left, operator, right = match.groups()
        new = f"(({left} {operator} {right}) != ({SWITCH} && {left} == {right}))"
        yield "bound", line[: match.start()] + new + line[match.end() :]


def _swaps(line: str) -> Iterator[tuple[str, str]]:
    """Yields the mutations that swap the two arguments of a call."""
    for match in _TWO_ARGUMENTS.finditer(line):
        name, first, second = match.groups()
        if first == second or re.search(
            r"\b(_|GFP_\w+|[A-Z][a-z]\w*|None|self)$", f"{first} {second}"
        ):
            continue
        new = f"(if {SWITCH} {{ {name}({second}, {first}) }} else {{ {name}({first}, {second}) }})"
        yield "arguments", line[: match.start()] + new + line[match.end() :]


def mutate_line(line: str, before: str = "", after: str = "") -> Iterator[tuple[str, str]]:
    """Yields the kind and the new text of each mutation of a line. `before` and `after` are the
    neighboring lines."""
    if re.match(r"^\s*(//|#\[|kernel::|static_assert|.*\bfn )", line):
        return
    if match := _FLAG.match(line):
        yield "flag", f"{match[1]} != {SWITCH}{match[2]}"
    yield from _conditions(line, before, after)
    if not re.match(r"^\s*(let |return|if |\} else if )", line) and _NOT_MUTATED.match(line):
        return
    whole = line.count("(") == line.count(")") and re.search(r"[{};]$|^\s*//", before)
    if whole and not _NOT_MUTATED.match(line) and (match := _CALL.match(line)):
        yield _kind_of_call(line), f"{match[1]}if !{SWITCH} {{ {match[2]} }}"
    yield from _bounds(line)
    yield from _swaps(line)


def candidates(driver: Path) -> list[Mutation]:
    """Returns all possible mutations, in the order of the files."""
    found = []
    for path in sorted(driver.rglob("*.rs")):
        file = str(path.relative_to(driver))
        if path.name in ("tests.rs", "testing.rs"):
            continue
        seen: dict[str, int] = {}
        code = path.read_text().split("#[kernel::macros::kunit_tests(")[0]
        lines = ["", *code.splitlines(), ""]
        for before, line, behind in zip(lines, lines[1:], lines[2:], strict=False):
            text = line.strip()
            seen[text] = seen.get(text, 0) + 1
            for kind, after in mutate_line(line, before, behind):
                found.append(Mutation(file, seen[text], text, after.strip(), kind))
    return found


def choose(found: list[Mutation], count: int, seed: int) -> list[Mutation]:
    """Chooses mutations, at most one for each line. Each layer has its share. Within a layer, all
    kinds have about the same number."""
    chance = random.Random(seed)
    chosen: list[Mutation] = []
    for name, share in SHARES.items():
        kinds: dict[str, list[Mutation]] = {}
        for mutation in found:
            if mutation.layer == name:
                kinds.setdefault(mutation.kind, []).append(mutation)
        for of_kind in kinds.values():
            chance.shuffle(of_kind)
        wanted = round(count * share / sum(SHARES.values()))
        lines: set[tuple[str, int, str]] = set()
        while wanted and any(kinds.values()):
            for of_kind in kinds.values():
                if not of_kind:
                    continue
                mutation = of_kind.pop()
                line = (mutation.file, mutation.occurrence, mutation.before)
                if wanted and line not in lines:
                    lines.add(line)
                    chosen.append(mutation)
                    wanted -= 1
    return sorted(chosen, key=lambda item: (item.file, item.before, item.occurrence))
