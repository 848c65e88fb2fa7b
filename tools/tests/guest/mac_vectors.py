#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""Published test vectors of MACs.

usage: mac_vectors.py ALGORITHM=SET...

SET is a file of vectors in the shared folder, which also has vc_mac.ko. For a guest with a
reference device, which must serve the requests.
"""

import re
import sys
from functools import partial

from lib import digests, reference, tap, test_module
from lib.tap import check, check_equal, test


def vectors(name: str, file: str) -> None:
    """Tests a set of vectors."""
    before = reference.status()
    path = test_module.FOLDER / file
    output = test_module.TestModule("vc_mac", driver=digests.ALL[name].driver, file=path).finish()
    pattern = r"(\d+) valid vectors, (\d+) invalid vectors, (\d+) with rejected keys"
    found = re.search(pattern, output)
    check(found, output)
    valid, invalid, refused = map(int, found.groups()) if found else (0, 0, 0)
    count = reference.requests(reference.status(), operation="MAC", status="OK")
    count -= reference.requests(before, operation="MAC", status="OK")
    check_equal(count, valid + invalid - refused, "requests of the device")


for argument in sys.argv[1:]:
    algorithm, _, file_name = argument.partition("=")
    test(f"{algorithm}: valid tags are accepted, invalid ones rejected")(
        partial(vectors, algorithm, file_name)
    )

tap.run()
