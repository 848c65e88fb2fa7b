#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Line coverage of the driver, by file, from the records of the QEMU plugin "cover".

usage: coverage.py [--json FILE] [--lines FILE] [--least PERCENT] MODULE FOLDER...

MODULE is the virtio_crypto_rs.ko that the guests loaded. Each FOLDER was shared with a guest. Its
file "cover" is the record of the plugin, with a byte for each byte of the kernel's address range
for modules. Its file "address" has the offset of the module's section .text in "cover". The
coverage of the guests is combined.

A line is reached if at least one of its instructions was executed. An inlined instruction counts
for its own line, and for the lines of its callers. Lines without an instruction do not count.
--lines writes the lines that were not reached. With --least the exit status is 1 if less than
PERCENT of one of LIMITED_LAYERS was reached.
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
# Unit tests, their helpers, and the output of bindgen.
IGNORED = re.compile(r"(^|/)(tests|testing|bindings_generated)\.rs$")
# The layers that --least applies to. Their code processes the device's responses: "virtio" has the
# virtqueues, "transport" has the state of queues, sessions and devices, and a part of "crypto"
# completes requests.
LIMITED_LAYERS = {
    "virtio": ("virtio/",),
    "transport": ("transport/",),
    "completion side of crypto": (
        "crypto/offload/context.rs", "crypto/offload.rs", "crypto/request.rs", "crypto/rescue.rs",
        "crypto/area.rs", "crypto/deferred.rs", "crypto/sync_request.rs",
    ),
}  # fmt: skip
# The addresses at which rows() links the module. Only .text is evaluated. The other sections with
# code get higher addresses, so that an address tells whether the code is in .text.
TEXT, REST = 0x1000_0000, 0x4000_0000
SCRIPT = f"""SECTIONS {{
	.text {TEXT:#x} : {{ *(.text) }}
	.others {REST:#x} : {{ *(.init.text) *(.exit.text) *(.text.*) }}
}}
"""


class Unusable(Exception):
    """The input cannot be evaluated: a program rejects it, the module has no line table, or a guest
    has not run the module."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A code range and a line that it belongs to. `start` is the offset of the range in .text, and
    `length` is in bytes. An inlined range has one row for each of its lines."""

    start: int
    length: int
    file: str
    line: int


@dataclasses.dataclass
class Lines:
    """The lines of a file that have code, and the reached lines."""

    all: set[int] = dataclasses.field(default_factory=set)
    reached: set[int] = dataclasses.field(default_factory=set)

    @property
    def percent(self) -> float:
        """The percentage of reached lines."""
        return 100 * len(self.reached) / len(self.all) if self.all else 100.0


def code_ranges(dump: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Parses the line tables of llvm-dwarfdump. Yields address and length of each code range that
    belongs to one line."""
    before = 0
    for text in dump:
        if not text.startswith("0x"):
            continue
        here = int(text.split()[0], 16)
        if before and here > before:
            yield before, here - before
        before = 0 if "end_sequence" in text else here


def lines_of(frames: Iterable[str]) -> Iterator[list[tuple[str, int]]]:
    """Parses the output of llvm-symbolizer. Yields the lines of each code range: first its own
    line, then the lines of the callers into which it was inlined."""
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
    """Returns the rows of the driver's sources in a module. Only a linked module has addresses in
    its line table, so the function links the module first."""
    with tempfile.TemporaryDirectory() as folder:
        script, linked = Path(folder, "script"), Path(folder, "linked")
        script.write_text(SCRIPT)
        _run("ld.bfd", "--unresolved-symbols=ignore-all", "-e", "0", "--no-warn-mismatch", "-w",
             "-T", str(script), "-o", str(linked), str(module))  # fmt: skip
        dump = _run("llvm-dwarfdump-19", "--debug-line", str(linked))
        code = [span for span in code_ranges(dump.splitlines()) if TEXT <= span[0] < REST]
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
    """Returns a byte for each of the `length` bytes of code: 1 if it was executed, else 0."""
    offset = int((folder / "address").read_text())
    with (folder / "cover").open("rb") as file:
        file.seek(offset)
        found = file.read(length)
    if len(found) != length or not any(found):
        raise Unusable(f"{folder}: no code of the module has run")
    return found


def evaluate(code: Iterable[Row], runs: list[bytes]) -> dict[str, Lines]:
    """Returns the lines of each file of the driver, by its path below SOURCE."""
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
    """Returns the combined lines of the files whose path begins with one of the prefixes. Each line
    gets a number that also identifies its file."""
    chosen = [(name, lines) for name, lines in files.items() if name.startswith(prefixes)]
    file_ids = {name: index for index, name in enumerate(sorted(name for name, _ in chosen))}
    combined = Lines()
    for name, lines in chosen:
        combined.all |= {line << 16 | file_ids[name] for line in lines.all}
        combined.reached |= {line << 16 | file_ids[name] for line in lines.reached}
    return combined


def layers(files: dict[str, Lines]) -> dict[str, Lines]:
    """Returns the totals of each layer in LIMITED_LAYERS, of each folder, and of all files."""
    folders = sorted({name.partition("/")[0] + "/" for name in files if "/" in name})
    return (
        {name: total(files, prefixes) for name, prefixes in LIMITED_LAYERS.items()}
        | {folder: total(files, (folder,)) for folder in folders}
        | {"all": total(files, ("",))}
    )


def ranges(numbers: Iterable[int]) -> str:
    """Returns numbers as text. Consecutive numbers become a range, for example 3-5."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def table(totals: dict[str, Lines]) -> Iterator[str]:
    """Yields a line of text for each file or layer."""
    for name, lines in totals.items():
        yield f"{name:<44} {len(lines.reached):>5} of {len(lines.all):>5} lines {lines.percent:6.1f} %"


def missing(files: dict[str, Lines]) -> Iterator[str]:
    """Yields the numbers and the text of the lines that were not reached."""
    for name, lines in files.items():
        unreached = sorted(lines.all - lines.reached)
        path = Path(__file__).resolve().parents[3] / SOURCE / name
        text = path.read_text().splitlines() if path.exists() else []
        yield f"{name}: {ranges(unreached)}"
        yield from (f"{line:>6} {text[line - 1]}" for line in unreached if line <= len(text))


def as_json(totals: dict[str, Lines]) -> dict[str, object]:
    """Returns the numbers of lines of each file or layer, for the JSON output."""
    return {
        name: {"lines": len(lines.all), "reached": len(lines.reached)}
        for name, lines in totals.items()
    }


def main() -> int:
    """Evaluates the folders of the command line. Returns the exit status."""
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
    totals = layers(files)
    print("\n".join([*table(files), "", *table(totals)]))
    if options.json:
        report = {"files": as_json(files), "layers": as_json(totals)}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.lines:
        options.lines.write_text("\n".join(missing(files)) + "\n")
    insufficient = [name for name in LIMITED_LAYERS if totals[name].percent < options.least]
    for name in insufficient:
        print(f"{name}: less than {options.least:g} % of the lines were reached")
    return 1 if insufficient else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Unusable, OSError) as problem:
        sys.exit(f"coverage: {problem}")
