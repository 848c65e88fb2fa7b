# SPDX-License-Identifier: GPL-2.0
"""A root file system in the initramfs, with the parts of the root that Python, dm-crypt and AF_ALG
need.

The guest mounts no file system of the host, because 9p does not survive a suspend.
"""

import argparse
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import machine
from initramfs import Archive

# busybox provides all other commands.
COMMANDS = (
    "usr/bin/dash", "usr/bin/python3", "usr/bin/env", "usr/bin/openssl", "usr/bin/kmod",
    "usr/bin/dd", "usr/bin/flock", "usr/bin/mount", "usr/bin/umount", "usr/sbin/dmsetup",
    "usr/sbin/losetup", "usr/sbin/blockdev", "usr/sbin/mke2fs", "usr/sbin/e2fsck",
)  # fmt: skip
LINKS = {
    "usr/bin/sh": "dash", "usr/sbin/mkfs.ext4": "mke2fs",
    **{f"usr/sbin/{name}": "../bin/kmod" for name in ("insmod", "rmmod", "modprobe", "modinfo")},
    "bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64",
}  # fmt: skip
FOLDERS = ("usr/lib/python3.13", "usr/lib/x86_64-linux-gnu/ossl-modules", "etc/ssl")
# Parts of FOLDERS that the guest does not need.
EXCLUDED = {"test", "pydoc_data", "ensurepip", "idlelib", "tkinter"}
# Folders of modules, and single modules without .ko, in the folder kernel/ of the kernel's modules.
MODULES = (
    "crypto", "arch/x86/crypto", "drivers/md", "drivers/block", "drivers/crypto/virtio",
    "fs/ext4", "fs/jbd2", "fs/mbcache", "lib",
)  # fmt: skip


def libraries(files: list[Path]) -> set[Path]:
    """Returns the shared libraries of programs and plugins, including the dynamic loader."""
    result = subprocess.run(["ldd", *files], capture_output=True, text=True, check=True)
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", result.stdout)}


def files_below(folder: Path) -> Iterator[Path]:
    """Yields the files below a folder, except those in EXCLUDED folders."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not EXCLUDED & set(path.relative_to(folder).parts):
            yield path


def modules(folder: Path) -> Iterator[Path]:
    """Yields the module files, and the files that modprobe reads."""
    yield from (path for path in folder.glob("modules.*") if path.is_file())
    for name in MODULES:
        path = folder / "kernel" / name
        if path.is_dir():
            yield from files_below(path)
        yield from path.parent.glob(f"{path.name}.ko*")


def add(archive: Archive, options: argparse.Namespace, release: str) -> None:
    """Adds the root file system to the archive of an initramfs."""
    programs = [Path("/", name) for name in COMMANDS]
    files = {path: path for path in programs}
    for name in FOLDERS:
        files |= {path: path for path in files_below(Path("/", name))}
    plugins = [path for path in files if path.suffix == ".so"]
    files |= {path: path for path in libraries(programs + plugins)}

    folder = machine.modules_folder(options, release)
    guest_folder = Path("/lib/modules", release)
    files |= {guest_folder / path.relative_to(folder): path for path in modules(folder)}
    for name in ("tools/tests/guest", "tools/testbed/guest"):
        files |= {path: path for path in files_below(options.project / name)}
    if options.share:
        files |= {
            Path("/mnt/share") / path.relative_to(options.share): path
            for path in files_below(options.share)
        }
    for name, target in LINKS.items():
        archive.link(name, target)
    archive.link("mnt/project", str(options.project))
    for folder_name in ("run", "tmp", "etc/modprobe.d", "root", "var/tmp"):
        archive.folder(folder_name)
    for path, source in files.items():
        archive.file(name_in_usr(path), source.read_bytes(), source.stat().st_mode & 0o777)


def name_in_usr(path: Path) -> str:
    """Returns the name of a file in the archive, without a leading slash. In the guest /bin, /sbin,
    /lib and /lib64 are links to folders in /usr, so the archive has their files below usr/."""
    name = str(path).removeprefix("/")
    first = name.partition("/")[0]
    return f"usr/{name}" if first in ("bin", "sbin", "lib", "lib64") else name
