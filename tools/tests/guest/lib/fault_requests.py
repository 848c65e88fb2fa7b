# SPDX-License-Identifier: GPL-2.0
"""Sends requests through vc_fault.ko while the device has faults, and returns the results. SUBJECTS
has at least one algorithm of each service."""

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
# Time limits in seconds: of a request, and of a device's recovery.
LIMIT, LONG = 120, 300
# Restarts after which the device is rebound, because the driver disables a device that fails more
# than 60 times in ten minutes.
RESTARTS = 40


@dataclasses.dataclass(frozen=True)
class Subject:
    """A variant of an algorithm."""

    service: str
    # The type of the algorithm in the crypto API.
    kind: str
    driver: str
    # The driver name of the implementation to compare with.
    reference: str
    # Key sizes in bytes: of the cipher, or of the MAC; and of the MAC of an algorithm chain.
    key: int = 0
    auth: int = 0

    @property
    def variant(self) -> str:
        """Returns "sync" or "async"."""
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
    """The results of a run of requests."""

    right: int = 0
    wrong: int = 0
    lost: int = 0
    doubled: int = 0
    # IVs that have a wrong value after a request.
    spoilt: int = 0
    # Requests whose memory still contains data of the request after its completion.
    traces: int = 0
    # Number of errors by direction ("encrypt" or "decrypt") and errno.
    errors: dict[tuple[str, int], int] = dataclasses.field(default_factory=dict)
    # The errno with which the transform or its key was rejected, or 0.
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
    """Loads vc_fault.ko, which sends the requests."""
    if not RUN.exists():
        subprocess.run(["insmod", FOLDER / "vc_fault.ko", f"limit={LIMIT}"], check=True)


@functools.cache
def _key_parameters(kind: str) -> dict[str, bytes]:
    """Returns the parameters that vc_fault.ko needs for requests of a public key algorithm."""
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
    """Sends `count` requests, in parallel if the variant is asynchronous. `text` is the length of
    the plaintext in bytes, or 0 for random lengths up to 2048. If `in_place` is None, every other
    pair of requests is in place."""
    (PARAMETERS / "backlog").write_text("Y" if backlog else "N")
    (PARAMETERS / "text").write_text(str(text))
    (PARAMETERS / "in_place").write_text("-1" if in_place is None else str(int(in_place)))
    for name, data in _key_parameters(subject.kind).items():
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
    """The guest's only device: its state in the driver, and its counters."""

    def __init__(self) -> None:
        self._earlier_restarts = 0  # restarts before the last bind
        self._name = module.devices()[0]

    def _status(self) -> dict[str, str]:
        file = Path("/sys/kernel/debug", crypto.MODULE, self._name, "status")
        with contextlib.suppress(OSError):
            return dict(re.findall(r"^(.*?): (.*)$", file.read_text(), re.M))
        return {}

    @property
    def state(self) -> str:
        """Returns the state of the device, or an empty string if the device is not bound."""
        return self._status().get("state", "")

    @property
    def restarts(self) -> int:
        """Returns how often the driver restarted the device, across all binds."""
        return self._earlier_restarts + int(self._status().get("restarts", 0))

    @property
    def served(self) -> int:
        """Returns how many data requests the device has served."""
        return reference.data_requests(reference.status(), status="OK")

    def rebind(self) -> bool:
        """Unbinds the device if it is bound, and binds it. Returns true if the bind succeeds."""
        self._earlier_restarts = self.restarts
        with contextlib.suppress(OSError):
            (module.DRIVER / "unbind").write_text(self._name)
        try:
            (module.DRIVER / "bind").write_text(self._name)
        except OSError:
            return False
        return True

    def rebind_if_failing(self) -> None:
        """Rebinds the device if the driver has disabled it, or will do so after some more
        restarts."""
        if self.restarts - self._earlier_restarts >= RESTARTS or self.state in ("", "disabled"):
            self.rebind()

    def settle(self) -> None:
        """Waits until the device has completed all control requests."""
        tap.wait_until(
            lambda: self._status().get("controlq") == "0 in flight", LONG, "all control requests"
        )

    def wait_until_served(self, subject: Subject, may_be_disabled: bool = False) -> None:
        """Waits until the device serves requests of an algorithm. Every result must be right.
        With `may_be_disabled`, a device that was disabled because of earlier faults is rebound."""
        last = Result()

        def is_served() -> bool:
            nonlocal last
            before = self.served
            last = run(subject, 4)
            if last.refused == errno.ENOENT:
                # The algorithm is not registered yet.
                if may_be_disabled:
                    self.rebind_if_failing()
                return False
            tap.check_equal(str(last), "4 right", f"{subject.driver}, without a fault")
            return self.served > before

        try:
            tap.wait_until(is_served, LONG, f"the device serves {subject.driver}")
        except tap.Failure as failure:
            raise tap.Failure(f"{failure}; {self.state}; {last}") from None
