"""Looking at maps and series in a browser: the stage behind browse.py."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from seaice import InputError
from seaice.browse.answers import Answers, FileAnswers
from seaice.browse.export import choose_view, write_folder
from seaice.browse.page_files import load_page_files
from seaice.browse.recognise import open_map_file
from seaice.browse.server import LOOPBACK, PageServer
from seaice.report import Report, format_count

logger = logging.getLogger(__name__)

LARGEST_SIDE = 1024


def browse(
    *,
    input_file: Sequence[Path],
    output_dir: Path | None = None,
    host: str = LOOPBACK,
    port: int = 0,
    region: Sequence[str] | None = None,
    climatology_file: Path | None = None,
    largest_side: int = LARGEST_SIDE,
    cache_dir: Path | None = None,
    open_browser: bool = False,
) -> Report:
    """Serve a page of maps and series until the process is stopped, or export it as a folder.

    Parameters
    ----------
    input_file : sequence of Path
        Cubes of ``consolidate_data.py``, other gridded files, or maps of ``segmentation.py predict``.
        The first is shown at the start; two on the same grid can be compared with a swipe.
    output_dir : Path, optional
        Folder to export to instead of serving; an earlier export there is replaced.
    host : str
        Address to listen on. Any but the default can be reached by others, who see all the page shows.
    port : int
        0 takes a free one.
    region : sequence of str, optional
        Regions as in ``ice_index.py``; by default the seas of the grid.
    climatology_file : Path, optional
        Cube of the years to which anomalies are shown; by default the file itself, if it has the years.
    largest_side : int
        Cells along the longer side of an exported map; of a larger grid every 2nd, 4th, ... cell is
        exported.
    cache_dir : Path, optional
        Where the series are kept while the page is served; by default a temporary folder. What is
        written there is removed at the end.
    open_browser : bool
        Whether to open the page in the browser of this machine.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a file cannot be shown, the address is in use, or the folder holds other files.
    """
    load_page_files()
    paths = [Path(input_file)] if isinstance(input_file, str | Path) else list(map(Path, input_file))
    if cache_dir is not None and not Path(cache_dir).is_dir():
        raise InputError(f"--cache_dir: expected a folder, found {cache_dir}; make it first")
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="seaice_browse_", dir=cache_dir))
        )
        files = []
        for path in paths:
            maps = open_map_file(path, climatology_file=climatology_file)
            view = None if output_dir is None else choose_view(maps.shape, largest_side)
            file = FileAnswers(maps, folder, regions=region or (), view=view)
            stack.callback(file.close)
            files.append(file)
        answers = Answers(files, is_exported=output_dir is not None)
        if output_dir is not None:
            size = write_folder(answers, Path(output_dir))
            page = Path(output_dir) / "index.html"
            return Report(
                [f"wrote {page}: {format_count(len(files), 'file')}, {size / 1e6:.1f} MB"],
                outputs=[page],
            )
        return _serve(answers, host=host, port=port, open_browser=open_browser)


def _serve(answers: Answers, *, host: str, port: int, open_browser: bool) -> Report:
    with PageServer(answers, host=host, port=port) as server:
        if host != LOOPBACK:
            logger.warning("whoever reaches %s can see all that the page shows", server.url)
        logger.info("open %s in a browser; Ctrl-C ends", server.url)
        answers.describe()
        if open_browser:
            import webbrowser

            webbrowser.open(server.url)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return Report(["stopped"])
    return Report()
