"""Settings of the site: sphinx-build -W docs docs/_build/html."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "histosge"
author = "the histosge developers"
copyright = author
release = version_of("histosge")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
templates_path = ["_templates"]

# --- links: each must lead somewhere ---
nitpicky = True
# only public names have a page: types of other packages and of private modules have none
nitpick_ignore_regex = [("py:.*", r"(?!histosge\.\w+$).*"), ("py:mod", ".*")]

# --- the API, from docstrings ---
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False

# --- notebooks: text, run at each build ---
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900
# warnings of other packages; an error stops the build all the same
nb_output_stderr = "remove"
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# --- literature ---
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

# --- theme ---
html_theme = "sphinx_book_theme"
html_title = "histosge"
html_static_path = ["_static"]
html_css_files = ["calm.css"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "home_page_in_toc": True,
    "navbar_start": [],
    "navbar_persistent": [],
    "footer_content_items": ["copyright.html", "glossary-link.html"],
    "use_download_button": False,
    "use_fullscreen_button": False,
    "pygments_light_style": "friendly",
    "pygments_dark_style": "github-dark",
}
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
