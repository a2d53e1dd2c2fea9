"""Settings of the documentation: `make docs` builds it without a network and without a warning."""

import atexit
import contextlib
import functools
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TypeVar

from jinja2 import FileSystemLoader
from numpydoc import docscrape_sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent / "_extensions")]

import seaice  # noqa: E402

project = "seaice"
author = "The authors of the seaice toolbox"
copyright = author
release = version = seaice.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "stage_options",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}

# A reference to a name of this package must lead somewhere; other packages' pages are not at hand.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!seaice\b).*")]

myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3

# Tutorials run at every build, in a folder of their own; `NOTEBOOKS=off make docs` leaves them out.
nb_execution_mode = os.environ.get("NOTEBOOKS", "force")
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_ipywidgets_js = {}
# The kernels get IPython's settings and the command ``seaice`` of this checkout from a folder.
_folder = Path(tempfile.mkdtemp(prefix="seaice_docs_"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
_profile = _folder / "ipython" / "profile_default"
shutil.copytree(Path(__file__).parent / "_ipython", _profile / "startup")
# A kernel warns of plain TCP, which does not leave this machine.
(_profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n", encoding="utf-8")
_command = _folder / "seaice"
_command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seaice "$@"\n', encoding="utf-8")
_command.chmod(0o755)
os.environ["IPYTHONDIR"] = str(_folder / "ipython")
os.environ["PATH"] = os.pathsep.join([str(_folder), os.environ["PATH"]])
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have the types
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
python_maximum_signature_line_length = 88
autodoc_use_type_comments = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
# numpydoc compiles its template again for each docstring, which is half of the time for the API pages.
_templates = FileSystemLoader(Path(docscrape_sphinx.__file__).parent / "templates")
_environment = docscrape_sphinx.SandboxedEnvironment(loader=_templates)
docscrape_sphinx.SandboxedEnvironment = lambda **_: _environment

html_theme = "pydata_sphinx_theme"
html_title = "seaice"
html_sidebars = {"*": []}  # pages without a section
html_static_path = ["_static"]
html_css_files = ["seaice.css"]
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 9,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}
html_copy_source = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def show_help_as_it_is(app, what, name, obj, options, lines):
    """Show the docstring of a stage as printed: it is the text of ``--help`` and no reStructuredText."""
    if what == "module" and name.startswith("seaice.commands."):
        lines[:] = [lines[0], "", "::", "", *(f"    {line}" for line in lines[1:]), ""]


def pass_undocumented(app, env, node, content):
    """Let references to constants, fields and type variables pass that have no entry but do exist."""
    target = node.get("reftarget", "")
    if not target.startswith("seaice."):
        return None
    names, module = target.split("."), None
    while module is None:
        with contextlib.suppress(ModuleNotFoundError):
            module = importlib.import_module(".".join(names))
        names.pop()
    rest = target.removeprefix(f"{module.__name__}.").split(".")
    owner = functools.reduce(lambda owner, name: getattr(owner, name, None), rest[:-1], module)
    found = getattr(owner, rest[-1], None)
    is_field = rest[-1] in getattr(owner, "__annotations__", {})
    if node["reftype"] in ("data", "attr"):
        return content if is_field or found is not None else None
    return content if isinstance(found, TypeVar) else None


def setup(app):
    """Connect before numpydoc, which would read headings in the text."""
    app.connect("autodoc-process-docstring", show_help_as_it_is, priority=100)
    app.connect("missing-reference", pass_undocumented)
