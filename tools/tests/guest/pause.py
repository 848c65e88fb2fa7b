#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The host pauses and continues the guest: the device keeps its sessions, and requests in flight
complete.

usage: pause.py [--pauses N]

For a guest with the module parameter prefer=1, and a device behind vhost-user. fio writes files to
ext4 on a LUKS2 volume and reads them back while QEMU stops and continues the guest. The counters of
the device are checked if it is a reference device.
"""

import argparse
import fcntl
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from lib import ciphers, crypto, driver_state, reference, tap, volume
from lib.tap import check, check_equal, test
from lib.volume import run

parser = argparse.ArgumentParser()
parser.add_argument("--pauses", type=int, default=10)
options = parser.parse_args()
KEY = volume.MOUNTS / "key"
# The test bed forwards commands from this port to the monitor of the guest's QEMU.
PORT = Path("/dev/virtio-ports/qmp")


def pause() -> None:
    """Stops and continues the guest. Both commands are sent at once, because a stopped guest cannot
    send the second.

    A request is a line with a name that identifies the request, a line with the command, and an
    empty line. An answer begins with the name of its request and "return" or "error"
    (tools/testbed/guest/qmp.py).
    """
    names = [f"{os.getpid()}-{command}" for command in ("stop", "cont")]
    requests = "".join(f"{name}\n{name.split('-')[1]}\n\n" for name in names)
    with Path("/run/testbed/qmp.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        port = os.open(PORT, os.O_RDWR)
        try:
            os.write(port, requests.encode())
            answers = b""
            while not all(f"{name} ".encode() in answers for name in names):
                answers += os.read(port, 4096)
        finally:
            os.close(port)
    check(answers.count(b" return ") == len(names), answers.decode())


def fio(folder: Path) -> subprocess.Popen[str]:
    """Starts fio, which writes and reads back until it is terminated."""
    return subprocess.Popen(
        ["fio", "--name=files", f"--directory={folder}", "--size=2M", "--numjobs=2", "--rw=randrw",
         "--bsrange=4k-64k", "--direct=1", "--ioengine=libaio", "--iodepth=8", "--verify=crc32c",
         "--verify_fatal=1", "--time_based", "--runtime=3600", "--group_reporting"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def served() -> int:
    """Returns how many requests the device has completed."""
    return driver_state.completed()


def state() -> dict[str, Any]:
    """Returns the counters of a reference device; empty for another device."""
    return reference.status() if reference.devices() else {}


def wait_for_work(before: int) -> None:
    """Waits until the device has served 20 more requests than `before`."""
    tap.wait_until(lambda: served() >= before + 20, 60, "20 more requests")


@test("pause: the device keeps its sessions, volume I/O continues")
def _() -> None:
    check(crypto.preferred(ciphers.XTS.name), "the module is not loaded with prefer=1")
    with volume.disk(64) as disk:
        KEY.write_bytes(os.urandom(64))
        run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2",
            "--pbkdf-force-iterations", "1000", "--key-file", KEY, disk)  # fmt: skip
        run("cryptsetup", "open", "--disable-keyring", "--key-file", KEY, disk, "luks")
        try:
            opened = Path("/dev/mapper/luks")
            volume.make_file_system(opened)
            with volume.mounted(opened) as folder:
                load = fio(folder)
                wait_for_work(served())
                before = state()
                for _ in range(options.pauses):
                    done = served()
                    pause()
                    wait_for_work(done)
                    time.sleep(0.1)
                after = state()
                load.terminate()
                said = load.communicate()[0]
                errors = re.findall(r"\berr= *(\d+)", said)
                check(errors and set(errors) == {"0"}, said)
            volume.check_file_system(opened)
        finally:
            run("cryptsetup", "close", "luks")
    if after:
        # When the guest continues, QEMU sets the features again. The device counts this as a start.
        check_equal(after["starts"] - before["starts"], options.pauses, "starts")
        check_equal(after["sessions"], before["sessions"], "sessions")
        check_equal(after["sessions_leaked"], before["sessions_leaked"], "dropped sessions")
        check_equal(reference.requests(after, status="INVSESS"), 0, "requests without a session")
    check_equal(driver_state.fallbacks().get("device_error", 0), 0, "requests failed by the device")


@test("pause: the driver does not reset the device")
def _() -> None:
    log = subprocess.run(["dmesg"], check=True, capture_output=True, text=True).stdout
    check(not re.search(r"reset and (re)?started", log), "the driver has reset the device")


tap.run()
