# SPDX-License-Identifier: GPL-2.0
"""Writes several files, or none of them."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write(files: Mapping[Path, str]) -> None:
    """Writes all files. Replaces the old ones after all new ones are on the disk."""
    ready: list[tuple[str, Path]] = []
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            ready.append((name, path))
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
        while ready:
            name, path = ready[0]
            os.replace(name, path)
            ready.pop(0)
    finally:
        for name, _ in ready:
            os.unlink(name)
