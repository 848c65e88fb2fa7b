# SPDX-License-Identifier: GPL-2.0
"""The configuration of Sphinx for `make htmldocs`."""

project = "virtio_crypto_rs"
copyright = "the authors of virtio_crypto_rs"
master_doc = "index"
exclude_patterns = ["ABI", "upstream"]
extensions = ["sphinx.ext.graphviz"]
graphviz_output_format = "svg"
html_theme = "alabaster"
html_theme_options = {
    "description": "Linux guest driver for virtio crypto devices",
    # Tables and pictures are as wide as the window.
    "page_width": "auto",
    "body_max_width": "none",
    "sidebar_width": "18em",
}
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_copy_source = False
# The documents contain options and C names in quotes, which Sphinx must not change.
smartquotes = False
