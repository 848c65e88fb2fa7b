#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""kexec while programs and a volume have requests in flight: the first kernel leaves the device
reset, and the driver of the second kernel uses it.

usage: kexec.py

For a guest started with --kexec, with a reference device. The program runs in both kernels. In the
first kernel it starts the second kernel. In the second kernel it runs the tests.
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
# This word is in the second kernel's command line only.
MARK = "testbed.another=1"
KEXEC_FILE_LOAD = 320  # on x86-64
REBOOT_KEXEC = 0x45584543
PROGRAMS = 4

libc = ctypes.CDLL(None, use_errno=True)
log = KernelLog()


def check_result(result: int, what: str) -> None:
    """Fails the test if a system call failed."""
    check(result == 0, f"{what}: {os.strerror(ctypes.get_errno())}")


def load_second_kernel() -> None:
    """Loads the second kernel, which is the same image."""
    BOOT.mkdir()
    mount_options = "trans=virtio,version=9p2000.L,ro"
    subprocess.run(["mount", "-t", "9p", "-o", mount_options, "boot", BOOT], check=True)
    descriptors = [os.open(BOOT / name, os.O_RDONLY) for name in ("kernel", "initramfs")]
    line = f"{COMMAND_LINE} {MARK}".encode() + b"\0"
    result = libc.syscall(
        KEXEC_FILE_LOAD, *descriptors, ctypes.c_ulong(len(line)), line, ctypes.c_ulong(0)
    )
    check_result(result, "kexec_file_load")


def encrypt_forever() -> None:
    """Encrypts forever."""
    data, iv = os.urandom(65536), os.urandom(16)
    with afalg.Transform(crypto.SYNC, os.urandom(16)) as transform:
        while True:
            transform.crypt(afalg.ENCRYPT, iv, data)


def start_second_kernel() -> None:
    """Starts the second kernel while the device is in use."""
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "the self-tests ended")
    users = ActiveUsers()
    users.wait_until_served("first kernel")
    for _ in range(PROGRAMS):
        threading.Thread(target=encrypt_forever, daemon=True).start()
    sessions = users.sessions + 2 * PROGRAMS
    wait_until(lambda: reference.status()["sessions"] == sessions, LONG, f"{sessions} sessions")
    users.writer.wait_for_progress(LONG)
    load_second_kernel()
    tap.note(f"kexec with {sessions} sessions")
    time.sleep(1)  # lets the console print the note
    log.check_quiet()
    check_result(libc.reboot(REBOOT_KEXEC), "reboot")


if MARK not in COMMAND_LINE:
    afalg.prepare()
    start_second_kernel()


@test("first kernel: leaves no session on the device")
def _() -> None:
    status = reference.status()
    check(status["starts"] > 1, f"the device was started {status['starts']} times")
    check_equal(status["sessions_leaked"], 0, "leaked sessions")


@test("second kernel: the device serves a program and a volume")
def _() -> None:
    wait_until(lambda: reference.status()["sessions"] == 0, LONG, "the self-tests ended")
    users = ActiveUsers()
    users.wait_until_served("second kernel")
    users.close()


@test("no kernel reports")
def _() -> None:
    log.check_quiet()


afalg.prepare()
tap.run()
