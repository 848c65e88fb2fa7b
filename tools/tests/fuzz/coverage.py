#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Which lines of the driver have run, file by file, from what the plugin "cover" of QEMU's has recorded.

usage: coverage.py [--json FILE] [--lines FILE] [--least PERCENT] MODULE FOLDER...

MODULE is the virtio_crypto_rs.ko that the guests had. FOLDERs are those that they shared with their
host, each with "cover" and "address". What has run in one of them has run.

A line is reached if an instruction that the compiler has made of it has run. Inlined code is of the
line in which it was written, and of the lines into which it was inlined. Lines without an instruction
do not count. --lines writes the lines that were not reached. With --least the exit status is 1 if less than
that was reached of a layer in MUST.
"""

import argparse
import collections
import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

SOURCE = "drivers/crypto/virtio_rs/"
# Unit tests and what only they use, and what bindgen makes.
IGNORED = re.compile(r"(^|/)(tests|testing|bindings_generated)\.rs$")
# What the device's answers reach: the ring and its owner, and what becomes of a request that is
# complete.
MUST = {
    "virtio": ("virtio/",),
    "transport": ("transport/",),
    "completion side of crypto": (
        "crypto/offload/context.rs", "crypto/offload.rs", "crypto/request.rs", "crypto/rescue.rs",
        "crypto/area.rs", "crypto/deferred.rs", "crypto/sync_request.rs",
    ),
}  # fmt: skip
# Where the linker puts the code that counts; everything else is behind it.
TEXT, REST = 0x1000_0000, 0x4000_0000
SCRIPT = f"""SECTIONS {{
	.text {TEXT:#x} : {{ *(.text) }}
	.others {REST:#x} : {{ *(.init.text) *(.exit.text) *(.text.*) }}
}}
"""


class Unusable(Exception):
    """What is there is not what this program reads."""


@dataclasses.dataclass(frozen=True)
class Row:
    """Some code of a line: where it begins in the section, and how long it is."""

    start: int
    length: int
    file: str
    line: int


@dataclasses.dataclass
class Lines:
    """The lines of a file that have code, and those of them that have run."""

    all: set[int] = dataclasses.field(default_factory=set)
    reached: set[int] = dataclasses.field(default_factory=set)

    @property
    def percent(self) -> float:
        """The part that was reached."""
        return 100 * len(self.reached) / len(self.all) if self.all else 100.0


def pieces(dump: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Reads the line tables that llvm-dwarfdump prints: the address and the length of each piece of code
    that is of one line."""
    before = 0
    for text in dump:
        if not text.startswith("0x"):
            continue
        here = int(text.split()[0], 16)
        if before and here > before:
            yield before, here - before
        before = 0 if "end_sequence" in text else here


def lines_of(frames: Iterable[str]) -> Iterator[list[tuple[str, int]]]:
    """Reads what llvm-symbolizer prints: the lines that each piece is of. The first one is where it was
    written, the others are where that was inlined."""
    found: list[tuple[str, int]] = []
    for text in frames:
        if text:
            file, line, _ = text.rsplit(":", 2)
            found.append((file, int(line)))
        elif found:
            yield found
            found = []
    if found:
        yield found


def rows(module: Path) -> list[Row]:
    """The code of the driver's sources in a module. The offsets are those in its .text."""
    with tempfile.TemporaryDirectory() as folder:
        script, linked = Path(folder, "script"), Path(folder, "linked")
        script.write_text(SCRIPT)
        _run("ld.bfd", "--unresolved-symbols=ignore-all", "-e", "0", "--no-warn-mismatch", "-w",
             "-T", str(script), "-o", str(linked), str(module))  # fmt: skip
        dump = _run("llvm-dwarfdump-19", "--debug-line", str(linked))
        code = [piece for piece in pieces(dump.splitlines()) if TEXT <= piece[0] < REST]
        frames = _run(
            "llvm-symbolizer-19", f"--obj={linked}", "--functions=none", "--inlines",
            text="".join(f"{start:#x}\n" for start, _ in code),
        )  # fmt: skip
    found = [
        Row(start - TEXT, length, file, line)
        for (start, length), lines in zip(code, lines_of(frames.splitlines()), strict=True)
        for file, line in lines
        if SOURCE in file and line
    ]
    if not found:
        raise Unusable(f"{module}: has no line table")
    return found


def _run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=text)
    if done.returncode:
        raise Unusable(f"{command[0]}: {done.stderr}")
    return done.stdout


def covered(folder: Path, length: int) -> bytes:
    """What has run of so many bytes of code: a byte for each, 1 or 0."""
    offset = int((folder / "address").read_text())
    with (folder / "cover").open("rb") as file:
        file.seek(offset)
        found = file.read(length)
    if len(found) != length or not any(found):
        raise Unusable(f"{folder}: no code of the module has run")
    return found


def evaluate(code: Iterable[Row], runs: list[bytes]) -> dict[str, Lines]:
    """The lines of each file of the driver, by its path below SOURCE."""
    found: dict[str, Lines] = collections.defaultdict(Lines)
    for row in code:
        _, source, file = row.file.rpartition(SOURCE)
        if not source or IGNORED.search(file):
            continue
        lines = found[file]
        lines.all.add(row.line)
        if any(any(run[row.start : row.start + row.length]) for run in runs):
            lines.reached.add(row.line)
    return dict(sorted(found.items()))


def total(files: dict[str, Lines], prefixes: tuple[str, ...]) -> Lines:
    """The lines of the files that begin like this, a number of each."""
    chosen = [(name, lines) for name, lines in files.items() if name.startswith(prefixes)]
    keys = {key: place for place, key in enumerate(sorted(name for name, _ in chosen))}
    both = Lines()
    for name, lines in chosen:
        both.all |= {line << 16 | keys[name] for line in lines.all}
        both.reached |= {line << 16 | keys[name] for line in lines.reached}
    return both


def layers(files: dict[str, Lines]) -> dict[str, Lines]:
    """The totals: what must be reached, each folder, and all."""
    folders = sorted({name.partition("/")[0] + "/" for name in files if "/" in name})
    return (
        {name: total(files, prefixes) for name, prefixes in MUST.items()}
        | {folder: total(files, (folder,)) for folder in folders}
        | {"all": total(files, ("",))}
    )


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as text, 3-5 for those that follow each other."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def table(parts: dict[str, Lines]) -> Iterator[str]:
    """A line for each part."""
    for name, lines in parts.items():
        yield f"{name:<44} {len(lines.reached):>5} of {len(lines.all):>5} lines {lines.percent:6.1f} %"


def missing(files: dict[str, Lines]) -> Iterator[str]:
    """The lines that were not reached, with those of the source."""
    for name, lines in files.items():
        left = sorted(lines.all - lines.reached)
        path = Path(__file__).resolve().parents[3] / SOURCE / name
        text = path.read_text().splitlines() if path.exists() else []
        yield f"{name}: {ranges(left)}"
        yield from (f"{line:>6} {text[line - 1]}" for line in left if line <= len(text))


def as_json(parts: dict[str, Lines]) -> dict[str, object]:
    """The same for programs."""
    return {
        name: {"lines": len(lines.all), "reached": len(lines.reached)}
        for name, lines in parts.items()
    }


def main() -> int:
    """Does what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--lines", type=Path)
    parser.add_argument("--least", type=float, default=0)
    parser.add_argument("module", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args()
    code = rows(options.module)
    length = max(row.start + row.length for row in code)
    files = evaluate(code, [covered(folder, length) for folder in options.folders])
    parts = layers(files)
    print("\n".join([*table(files), "", *table(parts)]))
    if options.json:
        both = {"files": as_json(files), "layers": as_json(parts)}
        options.json.write_text(json.dumps(both, indent=1) + "\n")
    if options.lines:
        options.lines.write_text("\n".join(missing(files)) + "\n")
    few = [name for name in MUST if parts[name].percent < options.least]
    for name in few:
        print(f"{name}: less than {options.least:g} % of the lines were reached")
    return 1 if few else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Unusable, OSError) as problem:
        sys.exit(f"coverage: {problem}")
