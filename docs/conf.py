"""How `make docs` builds the documentation: Sphinx, without network. Pages under `reference` are made by `pages.py`."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
# What documentation needs of JAX is its names.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jaxrl_suite

project = "jaxrl_suite"
copyright = "the jaxrl_suite developers"
version = release = jaxrl_suite.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "pages", "formulas"]
exclude_patterns = ["slurm"]
html_theme = "furo"
html_title = "jaxrl_suite"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
# Notebooks are committed as they ran.
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
