# SPDX-License-Identifier: GPL-2.0
"""Public key operations by a named implementation, through vc_akcipher.ko."""

import dataclasses
import errno
import os
import struct
from pathlib import Path
from types import TracebackType

from . import module, tap

FILE = Path("/sys/kernel/debug/vc_akcipher/op")

AKCIPHER, SIG, PUBLIC, PRIVATE, SIZES, ENCRYPT, DECRYPT, VERIFY, SIGN = range(9)

SLEEP, BACKLOG, IN_PLACE, SPLIT, TAIL, ATOMIC = (1 << bit for bit in range(6))

COMMAND = struct.Struct("=6I")
ANSWER = struct.Struct("=i3IQ")

OK = "OK"


def load() -> None:
    """Loads vc_akcipher.ko from the shared folder."""
    if not FILE.exists():
        done = module.insmod(Path("/mnt/share/vc_akcipher.ko"))
        tap.check(done.returncode == 0, f"insmod vc_akcipher: {done.stderr}")


def name(ret: int) -> str:
    """Returns the name of a return value."""
    return OK if ret >= 0 else errno.errorcode.get(-ret, str(ret))


@dataclasses.dataclass(frozen=True)
class Answer:
    """The result of a command."""

    ret: int
    length: int = 0  # of the result, or the maximum length
    data: bytes = b""
    seconds: float = 0

    @property
    def name(self) -> str:
        """OK, or the name of the error."""
        return name(self.ret)

    @property
    def result(self) -> bytes:
        """The output of the request."""
        return self.data[: self.length]


class Transform:
    """A transform of an algorithm, by algorithm name or driver name."""

    def __init__(self, driver: str, sig: bool = False) -> None:
        self.driver = driver
        self.file = os.open(FILE, os.O_RDWR)
        answer = self.do(SIG if sig else AKCIPHER, driver.encode())
        if answer.ret:
            os.close(self.file)
            raise OSError(-answer.ret, f"{driver}: {answer.name}")

    def do(
        self,
        what: int,
        first: bytes = b"",
        second: bytes = b"",
        flags: int = 0,
        dst_len: int = 0,
        count: int = 1,
    ) -> Answer:
        """Runs a command of the module."""
        head = COMMAND.pack(what, flags, dst_len, count, len(first), len(second))
        os.write(self.file, head + first + second)
        answer = os.read(self.file, 1 << 16)
        ret, length, anomalies, data_len, nanoseconds = ANSWER.unpack_from(answer)
        texts = ("memory behind the result was written to", "results differ", "completed with "
                "bottom halves enabled")  # fmt: skip
        for bit, text in enumerate(texts):
            tap.check(not anomalies & 1 << bit, f"{self.driver}: {text}")
        data = answer[ANSWER.size : ANSWER.size + data_len]
        return Answer(ret, length, data, nanoseconds / 1e9)

    def set_key(self, key: bytes, private: bool = False) -> str:
        """Sets a key. Returns OK or the name of the error."""
        return self.do(PRIVATE if private else PUBLIC, key).name

    @property
    def max_size(self) -> int:
        """The maximum length of a result."""
        return self.do(SIZES).length

    def crypt(
        self, what: int, src: bytes, dst_len: int, flags: int = SLEEP, count: int = 1
    ) -> Answer:
        """Encrypts or decrypts."""
        return self.do(what, src, flags=flags, dst_len=dst_len, count=count)

    def verify(self, signature: bytes, digest: bytes) -> str:
        """Verifies a signature. Returns OK or the name of the error."""
        return self.do(VERIFY, signature, digest).name

    def close(self) -> None:
        """Frees the transform."""
        os.close(self.file)

    def __enter__(self) -> "Transform":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
