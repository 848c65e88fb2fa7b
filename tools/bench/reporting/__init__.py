# SPDX-License-Identifier: GPL-2.0
"""The parts of the benchmark report: results, comparisons, plots, tables and documents."""
