# SPDX-License-Identifier: GPL-2.0
"""IPsec: security associations and policies of two hosts, and their counters."""

import dataclasses
import os
import re

from . import tap
from .netns import Namespace


@dataclasses.dataclass(frozen=True)
class Suite:
    """The algorithms of a security association (SA), and the device services that they use."""

    name: str
    # Words for "ip xfrm state add". A number stands for a key of that many bytes.
    words: tuple[str | int, ...]
    # The services that each packet uses.
    services: tuple[str, ...]
    # The kernel's algorithm for the SA if the driver is preferred, without and with extended
    # sequence numbers.
    sa_algorithms: tuple[str, str]
    protocol: str = "esp"

    def algorithm(self, esn: bool) -> str:
        """Returns the algorithm of the SA, without the template that generates IVs."""
        if self.words[0] == "aead" or self.protocol == "ah":
            return str(self.words[1])
        return f"{'authencesn' if esn else 'authenc'}({self.words[1]},{self.words[5]})"

    def words_with_new_keys(self) -> list[str]:
        """Returns the words with new keys."""
        return [
            word if isinstance(word, str) else "0x" + os.urandom(word).hex() if word else ""
            for word in self.words
        ]


def aead(name: str, key: int, icv: int, algorithm: str) -> Suite:
    """Returns a suite of ESP with an AEAD. key: in bytes, including the salt; icv: in bits."""
    title = f"{name} with {key * 8} bits of key and salt"
    return Suite(title, ("aead", name, key, str(icv)), ("AEAD",), (algorithm, algorithm))


def authenc(
    auth: str, auth_key: int, icv: int, cipher: str, cipher_key: int, algorithms: tuple[str, str]
) -> Suite:
    """Returns a suite of ESP with a MAC and a cipher."""
    words = ("auth-trunc", auth, auth_key, str(icv), "enc", cipher, cipher_key)
    services = ("MAC",) if "null" in cipher else ("MAC", "CIPHER")
    title = f"{auth} and {cipher} with {cipher_key * 8} bits of key"
    return Suite(title, words, services, algorithms)


def ah(auth: str, key: int, icv: int, algorithm: str) -> Suite:
    """Returns a suite of AH with a MAC."""
    words = ("auth-trunc", auth, key, str(icv))
    return Suite(f"AH with {auth}", words, ("MAC",), (algorithm, algorithm), "ah")


# Suites of several tests.
GCM = aead("rfc4106(gcm(aes))", 16 + 4, 128, "seqiv(rfc4106-gcm-aes-virtio)")
SHA256_CBC = authenc(
    "hmac(sha256)", 32, 128, "cbc(aes)", 16,
    ("echainiv(authenc-hmac-sha256-cbc-aes-virtio)",
     "echainiv(authencesn(hmac-sha256-virtio,cbc-aes-virtio))"),
)  # fmt: skip
AH_SHA256 = ah("hmac(sha256)", 32, 128, "hmac-sha256-virtio")


@dataclasses.dataclass
class State:
    """Counters of an SA from "ip -s xfrm state"."""

    packets: int
    replayed: int
    failed: int


class Association:
    """The two SAs between two hosts, one for each direction. Both hosts have both SAs."""

    def __init__(self, suite: Suite, mode: str, esn: bool) -> None:
        self.suite = suite
        self.mode = mode
        self.esn = esn
        self.chained = False  # whether one request does both encryption and MAC
        self._words = {name: suite.words_with_new_keys() for name in ("left", "right")}

    def _state(self, sender: Namespace, receiver: Namespace) -> list[str]:
        window = ["replay-window", "256"] + (["flag", "esn"] if self.esn else [])
        return ["src", sender.address, "dst", receiver.address, "proto", self.suite.protocol,
                "spi", f"0x1{sender.address[-1]}", "reqid", "1", "mode", self.mode, *window]  # fmt: skip

    def add(self, at: Namespace, other: Namespace, wrong_key_from: str = "") -> None:
        """Creates both SAs at one host. The SA for packets of `wrong_key_from` gets a new key."""
        for sender, receiver in ((at, other), (other, at)):
            words = self._words[sender.name]
            if sender.name == wrong_key_from:
                words = self.suite.words_with_new_keys()
            at.ip("xfrm", "state", "add", *self._state(sender, receiver), *words)
        for sender, receiver, direction in ((at, other, "out"), (other, at, "in")):
            source, target = self.ends(sender, receiver)
            at.ip("xfrm", "policy", "add", "src", source, "dst", target, "dir", direction,
                  "tmpl", "src", sender.address, "dst", receiver.address,
                  "proto", self.suite.protocol, "reqid", "1", "mode", self.mode)  # fmt: skip

    def ends(self, sender: Namespace, receiver: Namespace) -> tuple[str, str]:
        """Returns the addresses between which packets are protected."""
        if self.mode == "tunnel":
            return sender.inner, receiver.inner
        return sender.address, receiver.address

    @staticmethod
    def remove(*hosts: Namespace) -> None:
        """Removes all SAs and policies."""
        for host in hosts:
            host.ip("xfrm", "policy", "flush")
            host.ip("xfrm", "state", "flush")

    @staticmethod
    def state(at: Namespace, sender: Namespace) -> State:
        """Returns the counters of a host's SA for the packets of a sender."""
        text = at.ip("-s", "xfrm", "state", "list", "src", sender.address)
        packets = re.search(r"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)", text)
        stats = re.search(r"stats:\s+replay-window \d+ replay (\d+) failed (\d+)", text)
        if not packets or not stats:
            raise tap.Failure(f"unexpected: {text}")
        return State(int(packets[1]), int(stats[1]), int(stats[2]))


def errors(*hosts: Namespace) -> dict[str, int]:
    """Returns all counters of /proc/net/xfrm_stat that are not 0, by host."""
    found = {}
    for host in hosts:
        for name, count in host.numbers("xfrm_stat").items():
            if count:
                found[f"{host.name} {name}"] = count
    return found
