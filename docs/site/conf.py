"""How `make docs` makes a site of docs/, results/ and the docstrings; the source folder is the whole checkout."""

import sys
from pathlib import Path

import galore

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "galore"
author = "The galore authors"
release = version = galore.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "dialect"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "results/**index.md", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [
    *(".*", "build", "data", "dist", "outputs", "multirun"),
    *("src", "tests", "conf", "scripts", "experiments"),
]

# Pages are written for GitHub too: links between headings by its slugs, formulas between dollars.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parents[1] / "build" / "notebooks")
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "literal"
napoleon_use_ivar = True
napoleon_attr_annotations = False
napoleon_custom_sections = [("Options that all functions share", "params_style")]

html_theme = "furo"
html_title = "galore"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["front"]
html_copy_source = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
