# SPDX-License-Identifier: GPL-2.0
"""The plots of the report, in their order."""

from collections.abc import Callable

from reporting import plots_cost, plots_device, plots_functions
from reporting.plot import Plot
from reporting.results import Results

ALL: tuple[Callable[[Results], Plot | None], ...] = (
    plots_cost.by_size,
    plots_cost.by_depth,
    plots_functions.functions,
    plots_cost.notifications,
    plots_cost.break_even,
    plots_device.scaling,
    plots_device.device_sizes,
    plots_device.device_queues,
)


def draw(results: Results) -> list[Plot]:
    """Draws all plots that have measurements."""
    return [plot for plot in (make(results) for make in ALL) if plot]
