# SPDX-License-Identifier: GPL-2.0
"""Determines whether QEMU can use KVM, by trying it.

Opening /dev/kvm is not enough: in some virtual machines it succeeds, but a guest does not run.
"""

import argparse
import os
import select
import subprocess
from pathlib import Path

FIRMWARE_SIZE = 0x10000
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SILENCE_SECONDS = 4


def choose(options: argparse.Namespace) -> str:
    """Returns "kvm" or "tcg". The environment can force one of them. Otherwise this function tries
    KVM, and caches the result until the host reboots. A plugin requires TCG, and so does a guest of
    another architecture."""
    if options.plugin or options.arch != "amd64":
        return "tcg"
    forced = os.environ.get("VIRTIO_CRYPTO_RS_ACCEL", "")
    if forced:
        return forced
    cached: Path = options.run_dir.parent.parent / f"accel-{BOOT_ID.read_text().strip()}"
    if cached.exists():
        return cached.read_text().strip()
    result = "kvm" if _kvm_works(options) else "tcg"
    for stale in cached.parent.glob("accel-*"):
        stale.unlink(missing_ok=True)
    new = options.run_dir / "accel"
    new.write_text(f"{result}\n")
    new.replace(cached)
    return result


def _kvm_works(options: argparse.Namespace) -> bool:
    return (
        os.access("/dev/kvm", os.R_OK | os.W_OK)
        and _runs_firmware(options.run_dir / "firmware")
        and _runs_kernel(options.kernel_dir / "vmlinuz")
    )


def _run(*arguments: str) -> tuple[int | None, bytes]:
    """Runs QEMU with KVM. Returns its exit status and output. Kills QEMU, and returns None as the
    status, if QEMU prints nothing for SILENCE_SECONDS."""
    command = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "max", "-m", "512"]
    command += ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", *arguments]
    output = b""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as qemu:
        assert qemu.stdout
        while select.select([qemu.stdout], [], [], SILENCE_SECONDS)[0]:
            data = os.read(qemu.stdout.fileno(), 65536)
            if not data:
                return qemu.wait(), output
            output += data
        qemu.kill()
    return None, output


def _runs_firmware(path: Path) -> bool:
    """Runs a firmware whose first instructions make QEMU exit."""
    reset_vector = FIRMWARE_SIZE - 16
    code = bytes([0xB0, 0x2A, 0xE6, 0xF4, 0xF4])  # mov al, 42; out 0xf4, al; hlt
    path.write_bytes(bytes(reset_vector) + code.ljust(16, b"\xf4"))
    status, _ = _run("-bios", str(path), "-device", "isa-debug-exit,iobase=0xf4,iosize=1")
    return status == (42 << 1 | 1)


def _runs_kernel(kernel: Path) -> bool:
    """Boots a kernel without a root: it must panic, and QEMU must exit."""
    append = "console=ttyS0 earlyprintk=serial panic=-1"
    _, output = _run("-kernel", str(kernel), "-append", append, "-serial", "stdio")
    return b"VFS: Unable to mount root fs" in output
