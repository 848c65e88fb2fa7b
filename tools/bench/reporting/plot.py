# SPDX-License-Identifier: GPL-2.0
"""A picture that was drawn."""

from dataclasses import dataclass

LICENSE = "<!-- SPDX-License-Identifier: GPL-2.0 -->"


@dataclass(frozen=True)
class Plot:
    """A picture, and what it shows in words."""

    key: str
    title: str
    alt: str
    svg: str

    def standalone(self) -> str:
        """The picture as a file of its own."""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{LICENSE}\n{self.svg}'
