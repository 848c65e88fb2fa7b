# SPDX-License-Identifier: GPL-2.0
"""The appearance of plots. An implementation has the same colour, marker and line in all plots."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

# matplotlib would look for a display if these imports came before the choice of the back end.
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from reporting.plot import Plot
from reporting.results import WHO

# The colours of Okabe and Ito, which people with colour blindness can distinguish.
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

# For lines of one kind, such as depths. They differ in colour and marker. After the last colour,
# the colours are repeated with dashed lines and hollow markers.
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
    # Text is not converted to paths, so it can be searched and read aloud.
    "svg.fonttype": "none",
    # With a fixed salt, equal results create equal files.
    "svg.hashsalt": "virtio_crypto_rs",
}

matplotlib.rcParams.update(SETTINGS)


def grid(count: int, size: tuple[float, float] = (4.6, 3.4)) -> tuple[Figure, list[Axes]]:
    """Returns a figure with `count` plots, two in a row. `size` is the size of a plot in inches."""
    columns = min(count, 2)
    rows = -(-count // columns)
    # The padding separates the label of an axis from the title of the plot below it.
    layout = ConstrainedLayoutEngine(h_pad=0.12)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows + 0.6), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False)
    flat = [axis for row in axes for axis in row]
    for axis in flat[count:]:
        axis.remove()
    return figure, flat[:count]


def legend(figure: Figure, axes: Sequence[Axes], columns: int = 3) -> None:
    """Adds a legend for all plots of a figure, below them."""
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
    """Formats a number on an axis of instructions: 2000 is 2k."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def bytes_short(value: float, _position: int | None = None) -> str:
    """Formats a number on an axis of bytes: 4096 is 4Ki."""
    return f"{value / 1024:g}Ki" if value >= 1024 and value % 1024 == 0 else f"{value:g}"


def log_ticks(axis: Axes, values: Sequence[float], bytes_: bool) -> None:
    """Makes the x axis logarithmic, with ticks at the measured values, if there is space."""
    axis.set_xscale("log", base=2)
    ticks: list[float] = []
    for value in sorted(set(values)):
        # The labels of ticks that are closer than this factor would overlap.
        if not ticks or value >= 2.2 * ticks[-1] or len(set(values)) <= 5:
            ticks.append(value)
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FuncFormatter(bytes_short if bytes_ else short))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())


def log_y(axis: Axes) -> None:
    """Makes the y axis logarithmic, with short numbers at 1, 2 and 5."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    steps = (1, 2, 5) if high / low < 300 else (1,)
    decades = (10.0**power for power in range(-3, 13))
    ticks = [step * decade for decade in decades for step in steps]
    axis.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.yaxis.set_major_formatter(FuncFormatter(short))
    axis.yaxis.set_minor_formatter(NullFormatter())


def finish(key: str, title: str, alt: str, figure: Figure) -> Plot:
    """Converts a figure to a picture."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"^.*?(?=<svg)", "", out.getvalue(), count=1, flags=re.S)
    # The pictures are in the source tree, which has no white space at the ends of lines.
    svg = re.sub(r"[ \t]+$", "", svg, flags=re.M)
    return Plot(key, title, alt, svg)
