"""How the site is built: ``pip install ".[docs]"``, then ``sphinx-build -W docs build/site``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))

from simdrnn import __version__  # noqa: E402 (the installed package, whose extension is built)

project = "simdrnn"
author = "the simdrnn developers"
project_copyright = author
version = release = __version__

extensions = [
    "described",  # of this folder: the reference, from docstrings
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "pages",  # of this folder: what Markdown pages need to be read here and on a code host
]
nitpicky = False
default_role = "py:obj"  # single backticks name objects; what is no object is shown as code
exclude_patterns = ["README.md", "_build", "gallery/**/*.py", "gallery/**/*.ipynb"]
python_maximum_signature_line_length = 84
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True

# Markdown pages are written for a code host, and stay that.
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4

# SIMDRNN_GALLERY=small in the environment: all of them run, in minutes, and learn little.
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/[a-z]\w*\.py$",  # all of them run
    "ignore_pattern": r"^_",  # of a name: what stands beside an example
    "copyfile_regex": r"",
    "download_all_examples": False,
    "doc_module": (),
    "matplotlib_animations": False,
    "plot_gallery": True,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "subsection_order": "gallery_order.by_kind",
    "reset_modules": ("matplotlib", "gallery_order.reset"),
    "within_subsection_order": "FileNameSortKey",
    "nested_sections": False,
}

copybutton_exclude = ".linenos, .gp, .go"

html_theme = "pydata_sphinx_theme"
html_title = f"simdrnn {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "simdrnn"},
    "show_prev_next": True,
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "navbar_align": "left",
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "examples": [], "gallery/**": [], "tutorial": []}
