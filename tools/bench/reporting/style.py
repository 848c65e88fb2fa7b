# SPDX-License-Identifier: GPL-2.0
"""How plots look: one colour, marker and line for each that does the work, in all of them."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

# A back end is chosen before these, or it looks for a display.
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from reporting.plot import Plot
from reporting.results import WHO

# The colours of Okabe and Ito, which those who are colour-blind tell apart.
BLUE, SKY, VERMILION, GREEN = "#0072B2", "#56B4E9", "#D55E00", "#009E73"
ORANGE, PINK, YELLOW, BLACK = "#E69F00", "#CC79A7", "#F0E442", "#000000"
DIM, GREY = "#6E6E6E", "#CFCFCF"

LINES: dict[str, dict[str, Any]] = {
    "rust": {"color": BLUE, "marker": "o", "linestyle": "-", "linewidth": 2.4},
    "rust-sync": {"color": SKY, "marker": "s", "linestyle": "-"},
    "c": {"color": VERMILION, "marker": "^", "linestyle": "-"},
    "ring": {"color": BLACK, "marker": "x", "linestyle": ":"},
    "cpu": {"color": GREEN, "marker": "D", "linestyle": "--"},
    "software": {"color": PINK, "marker": "v", "linestyle": "--"},
}

# For lines of one kind, such as depths; each has another marker as well. There may be more than
# colours: the others are dashed, with hollow markers.
SERIES: list[dict[str, Any]] = [
    {"color": color, "marker": marker} | look
    for look in ({}, {"linestyle": "--", "markerfacecolor": "none"})
    for color, marker in zip((BLUE, ORANGE, GREEN, PINK, SKY, BLACK), "os^Dvx")
]

SETTINGS = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#DDDDDD",
    "legend.frameon": False,
    "lines.markersize": 6,
    "lines.linewidth": 1.6,
    # Text stays text, so it can be searched and read aloud.
    "svg.fonttype": "none",
    # Nothing at random: the same results make the same file.
    "svg.hashsalt": "virtio_crypto_rs",
}

matplotlib.rcParams.update(SETTINGS)


def grid(count: int, size: tuple[float, float] = (4.6, 3.4)) -> tuple[Figure, list[Axes]]:
    """A figure with this many plots, two in a row, of which each is so many inches."""
    columns = min(count, 2)
    rows = -(-count // columns)
    # The padding keeps an axis' label from the title of the plot below it.
    layout = ConstrainedLayoutEngine(h_pad=0.12)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows + 0.6), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False)
    every = [axis for row in axes for axis in row]
    for axis in every[count:]:
        axis.remove()
    return figure, every[:count]


def legend(figure: Figure, axes: Sequence[Axes], columns: int = 3) -> None:
    """One legend for all plots of a figure, below them."""
    entries: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            entries.setdefault(label, handle)
    order = {label: number for number, label in enumerate(WHO.values())}
    labels = sorted(entries, key=lambda label: order.get(label, -1))
    figure.legend(
        [entries[label] for label in labels], labels, loc="outside lower center",
        ncols=min(columns, len(labels)),
    )  # fmt: skip


def short(value: float, _position: int | None = None) -> str:
    """A number on an axis of instructions: 2000 is 2k."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def bytes_short(value: float, _position: int | None = None) -> str:
    """A number on an axis of bytes: 4096 is 4Ki."""
    return f"{value / 1024:g}Ki" if value >= 1024 and value % 1024 == 0 else f"{value:g}"


def log_ticks(axis: Axes, values: Sequence[float], bytes_: bool) -> None:
    """A logarithmic x axis with a tick at each value that was measured, where they fit."""
    axis.set_xscale("log", base=2)
    ticks: list[float] = []
    for value in sorted(set(values)):
        # A tick less than two powers of two behind another would be written over it.
        if not ticks or value >= 2.2 * ticks[-1] or len(set(values)) <= 5:
            ticks.append(value)
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FuncFormatter(bytes_short if bytes_ else short))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())


def log_y(axis: Axes) -> None:
    """A logarithmic y axis with short numbers at 1, 2 and 5."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    steps = (1, 2, 5) if high / low < 300 else (1,)
    decades = (10.0**power for power in range(-3, 13))
    ticks = [step * decade for decade in decades for step in steps]
    axis.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.yaxis.set_major_formatter(FuncFormatter(short))
    axis.yaxis.set_minor_formatter(NullFormatter())


def finish(key: str, title: str, alt: str, figure: Figure) -> Plot:
    """Makes a picture of a figure."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"^.*?(?=<svg)", "", out.getvalue(), count=1, flags=re.S)
    # White space at the ends of lines is not for a source tree.
    svg = re.sub(r"[ \t]+$", "", svg, flags=re.M)
    return Plot(key, title, alt, svg)
