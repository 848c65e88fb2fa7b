# SPDX-License-Identifier: GPL-2.0
"""IPsec in transport mode between two network namespaces, and ping and iperf3 through it.

A request is an echo request with its reply, or one of the packets in which iperf3's data is sent.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from lib import crconf, netns, traffic, xfrm
from lib.netns import Namespace
from lib.xfrm import Association, Suite
from loads.load import Load, Unable, need_modules, need_programs, output
from programs import MTU, PAYLOAD, Program

SUITES = {"gcm(aes)": xfrm.GCM, "authenc(hmac(sha256),cbc(aes))": xfrm.SHA256_CBC}
# The number of bytes that are sent and compared at the other end before measurements.
VERIFIED_BYTES = 1 << 18
# Packets per second that a slow host can send, to convert a number of requests to seconds for -t.
# iperf3's option for a number of bytes, -n, is not usable: iperf3 3.18 then busy-waits after the
# last packet until its next report, or without end if there are no reports.
PACKETS_PER_SECOND = 300
# Milliseconds without data after which iperf3 ends with an error. A busy host may delay packets
# long.
RCV_TIMEOUT = str(600 * 1000)


class _Network(Load):
    """Two namespaces with IPsec between them."""

    def __init__(self, program: Program, driver: str, left: Namespace, right: Namespace) -> None:
        self.driver = driver
        self._program = program
        self._left = left
        self._right = right

    def verify(self) -> None:
        """Checks that data arrives in both directions without errors of IPsec."""
        left, right = self._left, self._right
        traffic.transfer(left, left.address, right, right.address, VERIFIED_BYTES)
        with traffic.Pinger(left, left.address, right.address) as pinger:
            traffic.ping(pinger, [self._program.size if self._program.size < MTU else PAYLOAD] * 5)
        errors = xfrm.errors(left, right)
        if errors or not self._sent_packets():
            sent = self._sent_packets()
            raise Unable(f"IPsec, {self.driver}: {sent} packets were sent, errors: {errors}")

    def _sent_packets(self) -> int:
        return Association.state(self._left, self._left).packets

    def run(self, requests: int) -> int:
        before = self._sent_packets()
        with self._left.entered():
            if self._program.program == "ping":
                return self._ping(requests)
            seconds = str(max(1, requests // PACKETS_PER_SECOND))
            output("iperf3", "-c", self._right.address, "-t", seconds, "-i", "0")
        return self._sent_packets() - before

    def _ping(self, requests: int) -> int:
        """Sends echo requests. ping compares the payload of the replies."""
        report = output("ping", "-q", "-f", "-c", str(requests), "-s", str(self._program.size),
                        self._right.address)  # fmt: skip
        if not re.search(rf"{requests} received.* 0% packet loss", report):
            raise Unable(f"{self._program}: packets were lost: {report.strip()}")
        return requests


@contextmanager
def _associated(program: Program, left: Namespace, right: Namespace) -> Iterator[str]:
    """Sets up IPsec with the program's algorithm on both sides; yields the driver's name."""
    suite: Suite = SUITES[program.algorithm]
    association = Association(suite, "transport", False)
    uses_device = program.who == "rust"
    try:
        with crconf.select_implementation(uses_device, suite.algorithm(False)) as made:
            association.add(left, right)
            association.add(right, left)
        driver = suite.sa_algorithms[0]
        if uses_device and driver not in made.drivers or not uses_device and made.ours:
            raise Unable(f"{program}: the kernel chose {made.outermost}")
        # made.drivers also contains the fallbacks of the driver.
        yield driver if uses_device else made.outermost
    finally:
        association.remove(left, right)


@contextmanager
def _server(right: Namespace) -> Iterator[None]:
    """Runs an iperf3 server until the end of the block."""
    with right.entered():
        server = subprocess.Popen(
            ["iperf3", "-s", "-i", "0", "--forceflush", "--rcv-timeout", RCV_TIMEOUT],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert server.stdout
    try:
        printed = b""
        while b"Server listening" not in printed:
            line = server.stdout.readline()
            printed += line
            if not line:
                raise Unable(f"the iperf3 server did not start: {printed.decode().strip()}")
        yield
    finally:
        server.terminate()
        server.communicate()


@contextmanager
def opened(program: Program) -> Iterator[Load]:
    """Creates the two namespaces, and starts the server that the program needs."""
    need_programs("ip", program.program)
    need_modules("veth", "esp4", "crypto_user", "seqiv", "echainiv")
    with netns.joined(MTU) as (left, right), _associated(program, left, right) as driver:
        load = _Network(program, driver, left, right)
        if program.program == "iperf3":
            with _server(right):
                yield load
        else:
            yield load
