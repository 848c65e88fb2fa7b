# SPDX-License-Identifier: GPL-2.0
"""fio with direct I/O on a dm-crypt volume, on a disk in memory. A request is an I/O of fio."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lib import sectors, volume
from loads.gates import Gates
from loads.load import Load, Unable, check_equal, need_driver, need_modules, need_programs, output
from programs import Program

DISK = Path("/dev/ram0")
MEBIBYTES = 16
# The sector size of the volume. dm-crypt makes one request for each sector. cryptsetup chooses this
# size for disks with blocks of 4096 bytes.
SECTOR = 4096
# The number of bytes that verify() compares. The reference implementation is slow.
COMPARED_BYTES = 64 * SECTOR


class _Volume(Load):
    """A volume that the program's driver encrypts."""

    def __init__(self, program: Program, device: Path, reference: str) -> None:
        self.driver = program.driver
        self._program = program
        self._device = device
        self._reference = reference

    def verify(self) -> None:
        """Checks that the driver can read data that the reference implementation has written, and
        the other way round."""
        with volume.mapped("reference", self._reference) as other:
            for writer, reader in ((self._device, other), (other, self._device)):
                data = os.urandom(COMPARED_BYTES)
                sectors.write(writer, 0, data)
                result = sectors.read(reader, 0, COMPARED_BYTES)
                check_equal(result, data, f"dm-crypt, {self.driver}")

    def run(self, requests: int) -> int:
        return self.marked(requests, lambda: None, lambda: None)

    def marked(self, requests: int, begin: Callable[[], None], end: Callable[[], None]) -> int:
        """Runs fio. The marks are at fio's hooks before and after the I/O, so fio's start is not
        measured."""
        program = self._program
        kind = program.program.removeprefix("fio-").replace("random-", "rand")
        with Gates(begin, end) as gates:
            report = gates.run(
                "fio", "--name=bench", f"--filename={self._device}", "--direct=1", "--thread",
                "--ioengine=libaio", f"--iodepth={program.depth}", f"--rw={kind}",
                f"--bs={program.size}",
                f"--size={MEBIBYTES}M", f"--io_size={requests * program.size}", "--gtod_reduce=1",
                f"--exec_prerun={gates.command(0)}", f"--exec_postrun={gates.command(1)}",
                "--eta=never", "--output-format=json",
            )  # fmt: skip
        # Before the JSON, fio prints the paths of the commands' output.
        job = json.loads(report[report.index("{\n") :])["jobs"][0]
        made: int = job["read" if "read" in kind else "write"]["total_ios"]
        if job["error"] or made != requests:
            raise Unable(
                f"{program}: fio made {made} requests, expected {requests}: {job['error']}"
            )
        return made


@contextmanager
def opened(program: Program) -> Iterator[Load]:
    """Opens a volume on the disk in memory."""
    need_programs("fio", "dmsetup")
    need_modules("dm_crypt")
    need_driver(program.driver)
    need_driver(program.reference)
    if not DISK.exists():
        output("modprobe", "brd", "rd_nr=1", f"rd_size={MEBIBYTES << 10}")
        # brd allocates the memory of a block on the first write. Allocate all memory now.
        sectors.write(DISK, 0, bytes(MEBIBYTES << 20))
    key = bytes(range(64))
    table, reference = (
        volume.table(DISK, f"capi:{driver}-plain64", key, SECTOR)
        for driver in (program.driver, program.reference)
    )
    with volume.mapped("bench", table) as device:
        yield _Volume(program, device, reference)
