# SPDX-License-Identifier: GPL-2.0
"""Programs that use the kernel's crypto, set up to be measured in a guest."""
