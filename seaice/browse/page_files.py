"""The fixed files of the page: its own, and the plotting library that draws series."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from seaice import InputError
from seaice.settings import install_command

PLOTLY = "plotly.min.js"
_KINDS = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "data.js": "text/javascript; charset=utf-8",
    "map.js": "text/javascript; charset=utf-8",
    "series.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    PLOTLY: "text/javascript; charset=utf-8",
}


@cache
def load_page_files() -> dict[str, tuple[bytes, str]]:
    """Content and media type of every file of the page, by name.

    Raises
    ------
    InputError
        If plotly, which brings the plotting library of the page, is not installed.
    """
    try:
        import plotly

        library = files(plotly) / "package_data" / PLOTLY
        script = library.read_bytes()
    except (ImportError, FileNotFoundError) as error:
        raise InputError(f"browse.py needs plotly ({error}): {install_command('plotly')}") from None
    own = files("seaice.browse") / "page"
    content = {name: (own / name).read_bytes() for name in _KINDS if name != PLOTLY}
    content[PLOTLY] = script
    return {name: (content[name], kind) for name, kind in _KINDS.items()}
