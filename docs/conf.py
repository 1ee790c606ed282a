"""Settings of Sphinx for the documentation site; `scripts/site` builds it.

The sources are staged first (`docs/_ext/stage_site.py`): this folder, the pages outside of it, and the generated ones.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# In the staged folder, `POC_AUG_ROOT` names the repository.
_ROOT = Path(os.environ.get("POC_AUG_ROOT", Path(__file__).resolve().parents[1]))
for _folder in (_ROOT, _ROOT / "docs" / "_ext"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from poc_aug import __version__  # noqa: E402

project = "poc_aug"
author = "The poc_aug contributors"
copyright = "The poc_aug contributors, Apache-2.0"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.autosummary", "sphinx_copybutton"]
extensions += ["docstring_names"]
root_doc = "index"
exclude_patterns = ["_ext", "_build", "**.ipynb_checkpoints"]
nitpicky = True
# Types of other packages, of which no inventory is fetched, and what a signature names without being public.
_OTHERS = (
    "annotated_types|collections|datasets|lightning|lmdb|mmcv|mmengine|numpy|np|os|pathlib|PIL|pydantic|torch|torchmetrics"
    "|transformers|types|typing"
)
nitpick_ignore_regex = [
    (r"py:.*", rf"({_OTHERS})(\..*)?"),
    (r"py:class", r"Exif"),
    (r"py:(class|exc)", r".*[\s\[].*"),  # prose before a colon in a docstring: "GenerationError and others"
]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "html_image"]
myst_heading_anchors = 4
nb_execution_mode = "force"  # notebooks are stored without outputs
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "poc_aug"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/icon.svg"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "tango"
pygments_dark_style = "github-dark"
html_theme_options = {
    "light_logo": "wordmark.svg",
    "dark_logo": "wordmark-dark.svg",
    "sidebar_hide_name": True,
    "navigation_with_keys": True,
    "light_css_variables": {
        "color-brand-primary": "#b4491f",
        "color-brand-content": "#a13f18",
        "color-brand-visited": "#8a3d1f",
        "color-sidebar-link-text": "#3d3a36",
        "color-sidebar-link-text--top-level": "#3d3a36",
    },
    "dark_css_variables": {
        "color-brand-primary": "#f0956a",
        "color-brand-content": "#f4a582",
        "color-brand-visited": "#d99a80",
        "color-sidebar-link-text": "#cfcac3",
        "color-sidebar-link-text--top-level": "#cfcac3",
    },
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
