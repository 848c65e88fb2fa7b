# SPDX-License-Identifier: GPL-2.0
"""Requests of one algorithm of each kind, made by vc_fault.ko, and what becomes of them while the
device has faults."""

import contextlib
import dataclasses
import errno
import functools
import os
import re
import subprocess
from pathlib import Path

from . import crypto, der, keys, module, reference, tap

FOLDER = Path("/mnt/share")
PARAMETERS = Path("/sys/module/vc_fault/parameters")
RUN = PARAMETERS / "run"
# Seconds a request may take, and those in which a device has to work again.
LIMIT, LONG = 120, 300
# The driver gives a device up that fails more often than 60 times in ten minutes.
RESTARTS = 40


@dataclasses.dataclass(frozen=True)
class Subject:
    """An algorithm, in one variant."""

    service: str
    kind: str
    driver: str
    reference: str
    key: int = 0
    auth: int = 0

    @property
    def variant(self) -> str:
        """Whether it sleeps."""
        return "sync" if self.driver.endswith("-sync") else "async"


CHAIN = "authenc-hmac-sha256-cbc-aes-virtio"
SUBJECTS = (
    Subject("cipher", "skcipher", "cbc-aes-virtio", "cbc-aes-lib", 32),
    Subject("cipher", "skcipher", "cbc-aes-virtio-sync", "cbc-aes-lib", 16),
    Subject("cipher", "skcipher", "ctr-aes-virtio", "ctr-aes-lib", 32),
    Subject("hash", "ahash", "sha256-virtio", "sha256"),
    Subject("mac", "ahash", "hmac-sha256-virtio", "hmac(sha256)", 32),
    Subject("aead", "aead", "gcm-aes-virtio", "gcm-aes-lib", 32),
    Subject("aead", "aead", "gcm-aes-virtio-sync", "gcm-aes-lib", 16),
    Subject("chain", "aead", CHAIN, "authenc(hmac-sha256-lib,cbc-aes-lib)", 32, 32),
    Subject("chain", "aead", f"{CHAIN}-sync", "authenc(hmac-sha256-lib,cbc-aes-lib)", 16, 32),
    Subject("rsa", "akcipher", "rsa-virtio", "rsa-generic"),
    Subject("ecdsa", "sig", "ecdsa-nist-p256-virtio", "ecdsa-nist-p256-generic"),
)
RSA_BITS = 2048
P256 = keys.CURVES[1]


@dataclasses.dataclass
class Result:
    """What has become of some requests."""

    right: int = 0
    wrong: int = 0
    lost: int = 0
    doubled: int = 0
    # IVs that are not what they should be after a request.
    spoilt: int = 0
    # Requests whose memory still has their data in it.
    traces: int = 0
    # By direction, "encrypt" or "decrypt", and number.
    errors: dict[tuple[str, int], int] = dataclasses.field(default_factory=dict)
    # Why there was no transform with a key.
    refused: int = 0

    def __str__(self) -> str:
        if self.refused:
            return f"no transform: {errno.errorcode.get(self.refused, self.refused)}"
        words = [f"{self.right} right"]
        for name in ("wrong", "lost", "doubled", "spoilt", "traces"):
            if count := getattr(self, name):
                words.append(f"{count} {name}")
        for (direction, number), count in self.errors.items():
            words.append(f"{count} {errno.errorcode.get(number, number)} ({direction})")
        return ", ".join(words)


def load() -> None:
    """Loads the module that makes the requests."""
    if not RUN.exists():
        subprocess.run(["insmod", FOLDER / "vc_fault.ko", f"limit={LIMIT}"], check=True)


@functools.cache
def _given(kind: str) -> dict[str, bytes]:
    """What the module is told before it can make requests of a public key algorithm."""
    if kind == "akcipher":
        return {"key": keys.rsa(RSA_BITS).private}
    if kind == "sig":
        digest = os.urandom(32)
        signature = P256.raw(*der.numbers(P256.sign(digest)))
        return {"key": P256.public, "signature": signature + digest}
    return {}


def run(
    subject: Subject,
    count: int,
    backlog: bool = True,
    text: int = 0,
    in_place: bool | None = None,
) -> Result:
    """Makes so many requests, all at once if the variant is asynchronous. `text` is the bytes of
    text, or 0 for any length up to 2048. Without `in_place` every other pair is in place."""
    (PARAMETERS / "backlog").write_text("Y" if backlog else "N")
    (PARAMETERS / "text").write_text(str(text))
    (PARAMETERS / "in_place").write_text("-1" if in_place is None else str(int(in_place)))
    for name, data in _given(subject.kind).items():
        (PARAMETERS / name).write_text(data.hex())
    words = (
        subject.kind, subject.driver, subject.reference, subject.key, subject.auth, count,
    )  # fmt: skip
    try:
        RUN.write_text(" ".join(map(str, words)))
    except OSError as error:
        return Result(refused=error.errno or errno.EIO)
    result = Result()
    for name, number in re.findall(r"(\S+)=(\d+)", RUN.read_text()):
        direction, _, code = name.partition("-")
        if code:
            result.errors[direction, int(code)] = int(number)
        else:
            setattr(result, name, int(number))
    return result


class Device:
    """The one device, as its driver sees it and as it sees itself."""

    def __init__(self) -> None:
        self._earlier = 0  # restarts before it was bound
        self._name = module.devices()[0]

    def _shown(self) -> dict[str, str]:
        file = Path("/sys/kernel/debug", crypto.MODULE, self._name, "status")
        with contextlib.suppress(OSError):
            return dict(re.findall(r"^(.*?): (.*)$", file.read_text(), re.M))
        return {}

    @property
    def state(self) -> str:
        """How it is; empty if it is not bound."""
        return self._shown().get("state", "")

    @property
    def restarts(self) -> int:
        """How often it was started again, in all."""
        return self._earlier + int(self._shown().get("restarts", 0))

    @property
    def served(self) -> int:
        """How many data requests it has served."""
        return reference.data_requests(reference.status(), status="OK")

    def rebind(self) -> bool:
        """Unbinds it, if it is bound, and binds it; returns whether its driver took it."""
        self._earlier = self.restarts
        with contextlib.suppress(OSError):
            (module.DRIVER / "unbind").write_text(self._name)
        try:
            (module.DRIVER / "bind").write_text(self._name)
        except OSError:
            return False
        return True

    def freshen(self) -> None:
        """Binds the device again if it is disabled, or about to be."""
        if self.restarts - self._earlier >= RESTARTS or self.state in ("", "disabled"):
            self.rebind()

    def settle(self) -> None:
        """Waits until it has answered all control requests."""
        tap.wait_until(
            lambda: self._shown().get("controlq") == "0 in flight", LONG, "all control requests"
        )

    def works(self, subject: Subject, forgiven: bool = False) -> None:
        """Waits until it works for an algorithm; every result must be right. If it is forgiven, it
        may have been given up since it was freshened, for what it had left of its faults."""
        last = Result()

        def does() -> bool:
            nonlocal last
            before = self.served
            last = run(subject, 4)
            if last.refused == errno.ENOENT:
                # It is not registered yet.
                if forgiven:
                    self.freshen()
                return False
            tap.check_equal(str(last), "4 right", f"{subject.driver}, the device being well")
            return self.served > before

        try:
            tap.wait_until(does, LONG, f"the device works for {subject.driver}")
        except tap.Failure as failure:
            raise tap.Failure(f"{failure}; {self.state}; {last}") from None
