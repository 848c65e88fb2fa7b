# SPDX-License-Identifier: GPL-2.0
"""A plot of a request's instructions by function, as stacked bars."""

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from reporting import tables
from reporting.comparison import Comparison
from reporting.plot import Plot
from reporting.results import WHO, Count, Results
from reporting.style import (
    BLACK, BLUE, DIM, GREEN, GREY, ORANGE, PINK, SKY, VERMILION, YELLOW, finish,
    grid, short,
)  # fmt: skip

# The number of functions with a colour, and the maximum number of bars.
COLOURED = 7
BARS = 7
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, YELLOW)
# The colours on which numbers are white.
DARK = (BLUE, GREEN, VERMILION, DIM)
# The labels of all functions without a colour. The core is all modules except vc_bench, and
# the kernel's functions that a driver uses (counts.py).
OTHERS, REST = "others of module and core", "rest of the guest"
# The smallest part of a bar that is labelled with its number, relative to the widest bar.
MIN_LABELLED = 0.05


def _bars(compared: Comparison) -> list[tuple[str, Count]]:
    """Returns the counts to show, with labels. This driver and the C driver have bars at depth 1
    and at the usual depth, and this driver also at the largest size. The synchronous variant only
    has depth 1. The bare ring has the usual depth."""
    size, depth = compared.usual_size(), compared.usual_depth()
    largest = max(compared.sizes("rust", depth), default=size)
    wanted = [("rust", size, 1), ("rust", size, depth), ("rust", largest, depth)]
    wanted += [("rust-sync", size, 1), ("c", size, 1), ("c", size, depth), ("ring", size, depth)]
    bars = []
    for who, bytes_, bar_depth in dict.fromkeys(wanted):
        count = compared.find(who, bytes_, bar_depth)
        if count and count.functions:
            bars.append((f"{WHO[who]}\n{bytes_} bytes, depth {bar_depth}", count))
    return bars[:BARS]


def functions(results: Results) -> Plot | None:
    """Plots the most expensive functions, for the first algorithm that was counted by function."""
    compared = next(iter(tables.with_functions(results.counts)), None)
    bars = _bars(compared) if compared else []
    if not compared or not bars:
        return None
    greatest: dict[str, float] = {}
    for _, count in bars:
        for name, value in count.by_name.items():
            greatest[name] = max(greatest.get(name, 0), value)
    names = sorted(greatest, key=lambda name: -greatest[name])[:COLOURED]
    figure, axes = grid(1, (9.2, 1.3 + 0.72 * len(bars)))
    axis = axes[0]
    widest = max(count.per_request.whole for _, count in bars)
    for place, (_, count) in enumerate(bars):
        _stack(axis, place, count, names, widest)
    axis.set_yticks(range(len(bars)), [label for label, _ in bars])
    axis.invert_yaxis()
    axis.set_axisbelow(True)
    axis.grid(axis="y", visible=False)
    axis.set_xlim(0, widest * 1.1)
    axis.xaxis.set_major_formatter(FuncFormatter(short))
    axis.set_xlabel("guest instructions a request, whole guest")
    axis.set_title(compared.algorithm)
    colours = [*COLOURS[: len(names)], DIM, GREY]
    # Matplotlib ignores labels that begin with an underscore.
    entries = [
        Patch(color=colour, label=name if name[0] != "_" else f" {name}")
        for colour, name in zip(colours, [*names, OTHERS, REST])
    ]
    figure.legend(handles=entries, loc="outside lower center", ncols=3)
    alt = f"Guest instructions a request by function, as stacked bars, {compared.algorithm}. " + (
        " ".join(_description(label, count, names) for label, count in bars)
    )
    return finish("functions", "Where the instructions go", alt, figure)


def _stack(axis: Axes, place: int, count: Count, names: list[str], widest: float) -> None:
    """Draws a bar: the named functions, then all others."""
    by_name = count.by_name
    parts = [(name, by_name.get(name, 0.0)) for name in names]
    named = sum(value for _, value in parts)
    # All parts add up to the whole. The named functions may exceed the core, because some of them
    # may be outside the core.
    parts.append((OTHERS, max(0.0, count.per_request.core - named)))
    parts.append((REST, max(0.0, count.per_request.whole - max(named, count.per_request.core))))
    left = 0.0
    for (_, value), colour in zip(parts, [*COLOURS[: len(names)], DIM, GREY]):
        axis.barh(place, value, left=left, color=colour, edgecolor="white", height=0.7)
        if value > MIN_LABELLED * widest:
            ink = "white" if colour in DARK else BLACK
            axis.text(left + value / 2, place, f"{value:.0f}", ha="center", va="center",
                      color=ink, fontsize=9)  # fmt: skip
        left += value
    axis.text(left + 0.01 * widest, place, f"{count.per_request.whole:.0f}", va="center",
              fontsize=10, fontweight="bold")  # fmt: skip


def _description(label: str, count: Count, names: list[str]) -> str:
    found = count.by_name
    parts = (f"{name} {found[name]:.0f}" for name in names if name in found)
    bar = label.replace("\n", ", ")
    return f"{bar}: {', '.join(parts)}, of {count.per_request.whole:.0f} in all."
