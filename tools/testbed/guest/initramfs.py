# SPDX-License-Identifier: GPL-2.0
"""Builds the guest's initramfs: busybox, init, and the modules that init needs.

The archive is not compressed: copying a few megabytes to the guest's memory is faster than packing
and unpacking them.
"""

import lzma
from pathlib import Path

# Modules for the file systems that init mounts. A kernel may have them built in.
INIT_MODULES = ("9pnet_virtio", "9p", "overlay")


class Archive:
    """A cpio archive in the kernel's format (newc)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0
        self._folders: set[str] = set()

    def _add(self, name: str, mode: int, data: bytes) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        # inode mode uid gid nlink mtime size major minor rmajor rminor namesize check
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        for part in (header + encoded, data):
            self._parts.append(part + b"\0" * (-len(part) % 4))

    def folder(self, name: str) -> None:
        """Adds a folder and its parents."""
        if name in (".", "") or name in self._folders:
            return
        self.folder(str(Path(name).parent))
        self._folders.add(name)
        self._add(name, 0o040755, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Adds a file and its parent folders."""
        self.folder(str(Path(name).parent))
        self._add(name, 0o100000 | mode, data)

    def link(self, name: str, target: str) -> None:
        """Adds a symbolic link and its parent folders."""
        self.folder(str(Path(name).parent))
        self._add(name, 0o120777, target.encode())

    def finish(self) -> bytes:
        """Returns the complete archive."""
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)


def load_order(modules: Path, wanted: tuple[str, ...]) -> list[Path]:
    """Returns the files of the wanted modules, each after its dependencies."""
    dependencies: dict[str, list[str]] = {}
    path_of: dict[str, str] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        dependencies[path] = rest.split()
        path_of[Path(path).name.partition(".")[0].replace("-", "_")] = path

    order: list[str] = []
    for name in wanted:
        if name not in path_of:
            continue
        path = path_of[name]
        # modules.dep lists all dependencies of a module, the deepest last.
        for needed in [*reversed(dependencies[path]), path]:
            if needed not in order:
                order.append(needed)
    return [modules / path for path in order]


def read_module(path: Path) -> bytes:
    """Returns a module's uncompressed contents."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def build(
    archive: Archive, init: Path, busybox: Path, modules: Path, config: str, extra: dict[str, Path]
) -> bytes:
    """Completes the archive. `extra` maps names below /testbed to files on the host."""
    for folder in ("proc", "sys", "dev", "lower", "rw", "root"):
        archive.folder(folder)
    archive.file("init", init.read_bytes(), 0o755)
    archive.file("busybox", busybox.read_bytes(), 0o755)
    archive.file("testbed/config", config.encode())
    for name, path in extra.items():
        archive.file(f"testbed/{name}", read_module(path))
    names = []
    for path in load_order(modules, INIT_MODULES):
        names.append(path.name.partition(".")[0])
        archive.file(f"modules/{names[-1]}.ko", read_module(path))
    archive.file("modules/order", "".join(f"{name}\n" for name in names).encode())
    return archive.finish()
