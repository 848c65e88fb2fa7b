#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The guest starts another kernel with kexec, while programs and a volume have requests under way:
the device is left as one that nobody has used, and the driver of that kernel uses it.

usage: kexec.py

For a guest of --kexec, with a reference device. It is run twice: by the first kernel, which it
leaves, and by the other, for which it looks what it has got.
"""

import ctypes
import os
import subprocess
import threading
import time
from pathlib import Path

from lib import afalg, crypto, reference, tap
from lib.active_users import LONG, ActiveUsers
from lib.kernel_log import KernelLog
from lib.tap import check, check_equal, test, wait_until

BOOT = Path("/run/boot")
COMMAND_LINE = Path("/proc/cmdline").read_text().strip()
# What tells the kernels apart.
MARK = "testbed.another=1"
KEXEC_FILE_LOAD = 320  # on x86-64
REBOOT_KEXEC = 0x45584543
PROGRAMS = 4

libc = ctypes.CDLL(None, use_errno=True)
log = KernelLog()


def done(result: int, what: str) -> None:
    """Fails if a system call has."""
    check(result == 0, f"{what}: {os.strerror(ctypes.get_errno())}")


def load() -> None:
    """Loads the other kernel, which is the same."""
    BOOT.mkdir()
    how = "trans=virtio,version=9p2000.L,ro"
    subprocess.run(["mount", "-t", "9p", "-o", how, "boot", BOOT], check=True)
    descriptors = [os.open(BOOT / name, os.O_RDONLY) for name in ("kernel", "initramfs")]
    line = f"{COMMAND_LINE} {MARK}".encode() + b"\0"
    result = libc.syscall(
        KEXEC_FILE_LOAD, *descriptors, ctypes.c_ulong(len(line)), line, ctypes.c_ulong(0)
    )
    done(result, "kexec_file_load")


def encrypt() -> None:
    """Encrypts for ever."""
    data, iv = os.urandom(65536), os.urandom(16)
    with afalg.Transform(crypto.SYNC, os.urandom(16)) as transform:
        while True:
            transform.crypt(afalg.ENCRYPT, iv, data)


def leave() -> None:
    """Starts the other kernel while the device is being used."""
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "the self-tests are over")
    users = ActiveUsers()
    users.works("the first kernel")
    for _ in range(PROGRAMS):
        threading.Thread(target=encrypt, daemon=True).start()
    found = users.sessions + 2 * PROGRAMS
    wait_until(lambda: reference.status()["sessions"] == found, LONG, f"{found} sessions")
    users.writer.goes_on(LONG)
    load()
    tap.note(f"the first kernel goes with {found} sessions")
    time.sleep(1)  # what is printed here goes out before
    log.check_quiet()
    done(libc.reboot(REBOOT_KEXEC), "reboot")


if MARK not in COMMAND_LINE:
    afalg.prepare()
    leave()


@test("the first kernel has left no session on the device")
def _() -> None:
    status = reference.status()
    check(status["starts"] > 1, f"the device was started {status['starts']} times")
    check_equal(status["sessions_left_behind"], 0, "sessions that were left behind")


@test("the device works for a program and for a volume")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "the self-tests are over")
    users = ActiveUsers()
    users.works("the other kernel")
    users.close()


@test("the kernel has nothing to report")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
