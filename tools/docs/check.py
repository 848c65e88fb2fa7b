#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Compares the documents with the code: finds names that do not exist and undescribed parameters.

usage: check.py [TOP]

TOP is the project's folder. Prints a line for each difference; exit status 1 if there is one.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

TOP = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
DRIVER = TOP / "drivers/crypto/virtio_rs"
CODE = [DRIVER, TOP / "tools"]
SUFFIXES = {".rs", ".py", ".c", ".h", ".sh", ""}
# The name of a source file, in a document and in the source of a picture.
SOURCE = re.compile(r"``([\w./-]+\.(?:rs|py))``")
SOURCE_IN_PICTURE = re.compile(r"[\w./-]+\.(?:rs|py)\b")
# A transition between device states, in the table in state.rs and in states.dot.
TRANSITION = re.compile(r"^    \((\w+), (\w+), (\w+)\),$", re.M)
EDGE = re.compile(r'^\t(\w+) -> (\w+) \[label="(\w+)"[^]]*\]$', re.M)


def text_of(folder: Path) -> str:
    """Returns all code below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if "target" not in path.parts)
    return "\n".join(
        path.read_text(errors="replace")
        for path in files
        if path.is_file() and path.suffix in SUFFIXES
    )


def documents() -> dict[Path, str]:
    """Returns the documents by path."""
    paths = [*sorted((TOP / "Documentation").glob("*.rst")), TOP / "README.md"]
    return {path: path.read_text() for path in paths}


def pictures() -> dict[Path, str]:
    """Returns the sources of the pictures by path."""
    return {path: path.read_text() for path in sorted((TOP / "Documentation/pictures").glob("*"))}


def missing_sources(texts: dict[Path, str], source: re.Pattern[str]) -> Iterator[str]:
    """Returns an error for each source file that a document names and that does not exist."""
    existing = [path.as_posix() for folder in CODE for path in folder.rglob("*") if path.is_file()]
    for document, text in texts.items():
        for name in sorted(set(source.findall(text))):
            if not any(path.endswith("/" + name) for path in existing):
                yield f"{document.name}: {name} does not exist"


def missing_tests(text: str, code: str) -> Iterator[str]:
    """Returns an error for each unit test in requirements.rst that does not exist. An identifier of
    four words or more counts as the name of a unit test."""
    words = set(re.findall(r"\b\w+\b", code))
    for name in sorted(set(re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+){3,}\b", text))):
        if name not in words:
            yield f"requirements.rst: {name} does not exist"


def missing_faults(texts: dict[Path, str], faults: set[str]) -> Iterator[str]:
    """Returns an error for each fault of the reference device in a document that does not exist."""
    for document, text in texts.items():
        lists = re.findall(r"``73-fault-injection``:\s+((?:``[a-z-]+``,?\s*)+)", text)
        named = {name for names in lists for name in re.findall(r"``([a-z-]+)``", names)}
        named |= set(re.findall(r"\bfault=([a-z-]+)", text))
        for name in sorted(named - faults):
            yield f"{document.name}: the fault {name} does not exist"


def wrong_transitions(picture: str, code: str) -> Iterator[str]:
    """Returns the differences between the picture of a device's states and the table in the code."""
    drawn = {(start, event, end) for start, end, event in EDGE.findall(picture)}
    coded = set(TRANSITION.findall(code))
    for start, event, end in sorted(drawn ^ coded):
        where = "states.dot has" if (start, event, end) in drawn else "states.dot lacks"
        yield f"{where} the transition from {start} to {end} by {event}"
    if not coded:
        yield "no transitions were found in state.rs"


def undescribed(parameters: Iterable[str], text: str) -> Iterator[str]:
    """Returns an error for each module parameter that the user guide does not describe."""
    for name in parameters:
        if not re.search(rf"\b{name}\b", text):
            yield f"user-guide.rst: parameter {name} is not described"


def main() -> int:
    """Prints the differences, and returns the exit status."""
    texts, drawings = documents(), pictures()
    code = "\n".join(text_of(folder) for folder in CODE)
    module = (DRIVER / "virtio_crypto.rs").read_text()
    states = (DRIVER / "transport/device/state.rs").read_text()
    parameters = re.findall(r"^ {8}(\w+): (?:u32|bool|i32) \{$", module, re.M)
    catalogue = (TOP / "tools/vhost-device-crypto/test-device/src/fault.rs").read_text()
    faults = re.findall(r'^ +\w+ = "([a-z-]+)", ', catalogue, re.M)
    if not parameters or not faults:
        print("no parameters or no faults were found in the code")
        return 1
    folder = TOP / "Documentation"
    differences = [
        *missing_sources(texts, SOURCE),
        *missing_sources(drawings, SOURCE_IN_PICTURE),
        *wrong_transitions(drawings[folder / "pictures/states.dot"], states),
        *missing_tests(texts[folder / "requirements.rst"], code),
        *missing_faults(texts, set(faults)),
        *undescribed(parameters, texts[folder / "user-guide.rst"]),
    ]
    print("\n".join(differences), end="\n" if differences else "")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
