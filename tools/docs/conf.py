# SPDX-License-Identifier: GPL-2.0
"""Sphinx's configuration for the documents, as `make htmldocs` builds them."""

project = "virtio_crypto_rs"
copyright = "the authors of virtio_crypto_rs"
master_doc = "index"
exclude_patterns = ["ABI", "upstream"]
extensions = ["sphinx.ext.graphviz"]
graphviz_output_format = "svg"
html_theme = "alabaster"
html_theme_options = {
    "description": "Linux guest driver for virtio crypto devices",
    "page_width": "70em",
    "sidebar_width": "18em",
}
html_copy_source = False
# The texts have options and names of C in quotes.
smartquotes = False
