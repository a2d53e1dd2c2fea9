"""Checks of the outputs of a stage before it works: each may be written and destroys nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

from seaice import InputError
from seaice.runtime.output_kinds import FileKind, check_replaceable, name_kind

Kind = Literal["table", "series", "dates", "labels", "picture", "animation", "page"]

ENDINGS: dict[Kind, tuple[str, ...]] = {
    "table": (".csv", ".txt"),
    "series": (".nc",),
    "dates": (".nc",),
    "labels": (".nc",),
    "picture": (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"),
    "animation": (".gif", ".mp4"),
    "page": (".html",),
}

# The kinds of file that may be replaced: of NetCDF files by the kind of output, else by their endings.
_NETCDF_KINDS = {"series": "extent series", "dates": "ice dates", "labels": "ice chart labels"}
_KINDS_BY_ENDING = {
    ".gif": "a GIF picture",
    ".html": "a report of a cube",
    ".jpeg": "a JPEG picture",
    ".jpg": "a JPEG picture",
    ".mp4": "a film",
    ".pdf": "a PDF file",
    ".png": "a PNG picture",
    ".svg": "an SVG picture",
    ".tif": "a TIFF picture",
    ".tiff": "a TIFF picture",
    ".webp": "a WebP picture",
}


class Output(NamedTuple):
    """A file that a stage is asked to write.

    Attributes
    ----------
    option : str
        Name of the parameter, for messages.
    path : Path or None
        None if it was not asked for.
    kind : {"table", "series", "dates", "labels", "picture", "animation", "page"}
        Decides the endings it may have (see :data:`ENDINGS`).
    columns : tuple of str
        Some columns of a table, by which an earlier one is recognised.
    """

    option: str
    path: Path | None
    kind: Kind
    columns: tuple[str, ...] = ()


def check_outputs(
    outputs: Iterable[Output],
    inputs: Sequence[Path | None] = (),
    *,
    is_daily_file: Callable[[str], object] = lambda name: None,
) -> None:
    """Refuse outputs that could not be written after the work, or would destroy something.

    Parameters
    ----------
    outputs : iterable of Output
        All that one run writes.
    inputs : sequence of Path or None
        All files that it reads.
    is_daily_file : callable
        Whether a file name is that of a daily file, which no output may have.

    Raises
    ------
    InputError
        If an ending is not one of its kind, a folder is missing or may not be written to,
        an output is an input or has the name of a daily file, two outputs are the same
        file, or a file of another kind is there.

    Examples
    --------
    >>> check_outputs([Output("plot", Path("a.b"), "series")])
    Traceback (most recent call last):
    seaice.InputError: --plot: expected an ending of .nc, found a.b; change the ending
    """
    requested = [o._replace(path=Path(o.path)) for o in outputs if o.path is not None]
    for output in requested:
        _check_folder(output)
        _check_apart_from_inputs(output, [Path(i) for i in inputs if i is not None])
        _check_name(output, is_daily_file)
    for first, second in combinations(requested, 2):
        if _is_same_file(first.path, second.path):
            raise InputError(
                f"expected two files for --{first.option} and --{second.option}, found {first.path} and "
                f"{second.path}, which are one; choose another name"
            )
    for output in requested:
        assert output.path is not None
        check_replaceable(output.path, _expect_kind(output), option=output.option)


def _check_folder(output: Output) -> None:
    path, endings = output.path, ENDINGS[output.kind]
    assert path is not None
    if path.suffix.lower() not in endings:
        raise InputError(
            f"--{output.option}: expected an ending of {', '.join(endings[:-1])}"
            f"{' or ' if endings[1:] else ''}{endings[-1]}, found {path}; change the ending"
        )
    folder = resolve_links(path).parent
    if not folder.is_dir():
        raise InputError(
            f"--{output.option}: the folder of the output does not exist: {path.parent}; make it first"
        )
    if path.is_dir():
        raise InputError(f"--{output.option}: expected a file, found the folder {path}; add a file name")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            f"--{output.option}: expected a folder that may be written to, found {folder}; check its "
            "permissions or choose another place"
        )


def _check_apart_from_inputs(output: Output, inputs: Sequence[Path]) -> None:
    path = output.path
    assert path is not None
    if any(_is_same_file(path, source) for source in inputs):
        raise InputError(
            f"--{output.option}: expected a file of its own, found {path}, which this run reads; "
            "choose another name"
        )


def _check_name(output: Output, is_daily_file: Callable[[str], object]) -> None:
    path = output.path
    assert path is not None
    if any(is_daily_file(name) for name in (path.name, resolve_links(path).name)):
        raise InputError(
            f"--{output.option}: expected a name of its own, found {path}, the name of a daily file; "
            "choose another name"
        )


def resolve_links(path: Path) -> Path:
    """Follow the links of a path.

    Raises
    ------
    InputError
        If they lead round in a circle.
    """
    try:
        return path.resolve()
    except (RuntimeError, OSError):  # Python 3.13 has an OSError
        raise InputError(f"expected a file, found a link that leads to itself: {path}") from None


def _is_same_file(first: Path | None, second: Path | None) -> bool:
    """Whether two names stand for one file, through links of either kind too."""
    assert first is not None and second is not None
    if resolve_links(first) == resolve_links(second):
        return True
    return first.exists() and second.exists() and first.samefile(second)


def _expect_kind(output: Output) -> FileKind:
    """The kind of file that an output replaces."""
    if output.kind in _NETCDF_KINDS:
        return name_kind(_NETCDF_KINDS[output.kind])
    if output.kind == "table":
        return FileKind("a table", frozenset(output.columns))
    assert output.path is not None
    return FileKind(_KINDS_BY_ENDING[output.path.suffix.lower()])
