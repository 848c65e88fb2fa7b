# SPDX-License-Identifier: GPL-2.0
"""A picture of the report."""

from dataclasses import dataclass

LICENSE = "<!-- SPDX-License-Identifier: GPL-2.0 -->"


@dataclass(frozen=True)
class Plot:
    """A picture, and a description of its contents."""

    key: str
    title: str
    alt: str
    svg: str

    def standalone(self) -> str:
        """Returns the contents of an SVG file."""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{LICENSE}\n{self.svg}'
