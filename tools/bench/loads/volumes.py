# SPDX-License-Identifier: GPL-2.0
"""fio with direct I/O on a dm-crypt volume, on a disk in memory. A request is an I/O of fio."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lib import sectors, volume
from loads.gates import Gates
from loads.load import Load, Unable, need_driver, need_modules, need_programs, output, same
from programs import Program

DISK = Path("/dev/ram0")
MEBIBYTES = 16
# The sector size of the volume. dm-crypt makes one request for each sector. cryptsetup chooses this
# size for disks with blocks of 4096 bytes.
SECTOR = 4096
# The bytes that are compared with the reference implementation, which is slow.
COMPARED = 64 * SECTOR


class _Volume(Load):
    """A volume that the program's driver encrypts."""

    def __init__(self, program: Program, device: Path, reference: str) -> None:
        self.driver = program.driver
        self._program = program
        self._device = device
        self._reference = reference

    def verify(self) -> None:
        """Checks that driver and reference implementation read what the other has written."""
        with volume.mapped("reference", self._reference) as other:
            for writer, reader in ((self._device, other), (other, self._device)):
                data = os.urandom(COMPARED)
                sectors.write(writer, 0, data)
                same(sectors.read(reader, 0, COMPARED), data, f"dm-crypt, {self.driver}")

    def run(self, requests: int) -> int:
        return self.marked(requests, lambda: None, lambda: None)

    def marked(self, requests: int, begin: Callable[[], None], end: Callable[[], None]) -> int:
        """Runs fio between the marks, without fio's measurement of the processor's clock."""
        one = self._program
        kind = one.program.removeprefix("fio-").replace("random-", "rand")
        with Gates(begin, end) as gates:
            said = gates.run(
                "fio", "--name=bench", f"--filename={self._device}", "--direct=1", "--thread",
                "--ioengine=libaio", f"--iodepth={one.depth}", f"--rw={kind}", f"--bs={one.size}",
                f"--size={MEBIBYTES}M", f"--io_size={requests * one.size}", "--gtod_reduce=1",
                f"--exec_prerun={gates.command(0)}", f"--exec_postrun={gates.command(1)}",
                "--eta=never", "--output-format=json",
            )  # fmt: skip
        # Before the JSON, fio prints the paths of the commands' output.
        job = json.loads(said[said.index("{\n") :])["jobs"][0]
        done: int = job["read" if "read" in kind else "write"]["total_ios"]
        if job["error"] or done != requests:
            raise Unable(f"{one}: fio made {done} requests, expected {requests}: {job['error']}")
        return done


@contextmanager
def opened(program: Program) -> Iterator[Load]:
    """Opens a volume on the disk in memory."""
    need_programs("fio", "dmsetup")
    need_modules("dm_crypt")
    need_driver(program.driver)
    need_driver(program.reference)
    if not DISK.exists():
        output("modprobe", "brd", "rd_nr=1", f"rd_size={MEBIBYTES << 10}")
        # The disk takes memory when it is first written.
        sectors.write(DISK, 0, bytes(MEBIBYTES << 20))
    key = bytes(range(64))
    line, reference = (
        volume.table(DISK, f"capi:{driver}-plain64", key, SECTOR)
        for driver in (program.driver, program.reference)
    )
    with volume.mapped("bench", line) as device:
        yield _Volume(program, device, reference)
