"""The files of a product below a folder, and which product a folder holds."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from seaice import InputError
from seaice.report import describe_contents, format_count, listing
from seaice.sources.folder import ANY_DAY, is_packed, walk_files
from seaice.sources.products.file import ProductFile, parse_name
from seaice.sources.products.product import Product, get_product, list_products
from seaice.sources.products.reader import read_product_days

logger = logging.getLogger(__name__)

# Endings of files that may be days although their names do not follow a grammar.
_DATA = re.compile(
    r".*\.(nc4?|hdf5?|h5|he5|bin|tiff?)(\.(gz|bz2|xz|zip|zst|Z|bak|old|orig|tmp|part)|~)?", re.IGNORECASE
)


class FolderListing(NamedTuple):
    """Days of a product below a folder.

    Attributes
    ----------
    files : list of ProductFile
        In order of day; of one day the best first.
    unnamed : list of Path
        Files that seem to hold days, but are named as none of the product, or do not tell their days.
    notes : list of str
        What is worth a line, such as two versions in one folder.
    """

    files: list[ProductFile]
    unnamed: list[Path]
    notes: list[str]


def find_product_files(source_dir: Path, product: Product | None = None) -> FolderListing:
    """Find the days of a product below a folder, with all its subfolders.

    Parameters
    ----------
    source_dir : Path
    product : Product, optional
        Without it the packaged product that the names of the folder follow.

    Raises
    ------
    InputError
        If the folder is missing, holds no such file, or files of several products and ``product`` is
        not given.
    """
    source_dir = Path(source_dir)
    packaged = [get_product(name) for name in list_products()]
    products = [product] if product else packaged
    by_product: dict[str, list[ProductFile]] = {}
    unnamed: list[Path] = []
    for path in walk_files(source_dir):
        fitting = {p.name: files for p in products if (files := parse_name(path, p))}
        for name, files in fitting.items():
            by_product.setdefault(name, []).extend(files)
        if not fitting and _may_hold_days(path, [*products, *packaged]):
            unnamed.append(path)
    name = _choose_product(source_dir, by_product, unnamed, product)
    files, silent = _read_many_days(by_product[name])
    if not files:
        reasons = listing([f"{path}: {reason}" for path, reason in silent.items()], limit=1)
        raise InputError(f"no file of {name} in {source_dir} tells its days ({reasons})")
    files.sort(key=lambda file: str(file.path))
    files.sort(key=ProductFile.rank, reverse=True)  # keeps the alphabetical order of equals
    files.sort(key=lambda file: file.day)
    return FolderListing(files, [*unnamed, *silent], _note_versions(files))


def list_file_days(path: Path, product: Product) -> list[ProductFile]:
    """List the days of one file of a product; empty if its name is none of the product's."""
    return _read_many_days(parse_name(path, product))[0]


def _may_hold_days(path: Path, products: Sequence[Product]) -> bool:
    """Whether a file may hold days although its name follows no grammar of a product."""
    name = path.name
    if name.startswith(".") or any(p.fullmatch(name) for q in products for p in q.left_out):
        return False
    if is_packed(path):
        return True
    is_data = _DATA.fullmatch(name) is not None and ANY_DAY.search(name) is not None
    return is_data and not any(parse_name(path, q) for q in products)


def _choose_product(
    source_dir: Path,
    by_product: dict[str, list[ProductFile]],
    unnamed: list[Path],
    product: Product | None,
) -> str:
    """Choose the product of a folder; InputError if there is none or more than one."""
    if len(by_product) == 1:
        return next(iter(by_product))
    if by_product:
        counts = {name: len({file.path for file in files}) for name, files in by_product.items()}
        counted = ", ".join(f"{name} ({format_count(n, 'file')})" for name, n in sorted(counts.items()))
        raise InputError(
            f"{source_dir} holds files of several products: {counted}; choose with --product or give "
            "the folder of one"
        )
    nearly = f"; {describe_contents(source_dir)}"
    if unnamed:
        names = listing([path.name for path in unnamed])
        nearly = f"; {format_count(len(unnamed), 'file')} of nearly such a name ({names})"
    if product:
        form = product.forms[0].pattern.pattern
        raise InputError(
            f"no file of {product.name} in {source_dir} or below (expected names such as {form}){nearly}"
        )
    raise InputError(
        f"no daily file of a known product in {source_dir} or below (known are "
        f"{', '.join(list_products())}); describe it with --product FILE.yml{nearly}"
    )


def _read_many_days(files: Sequence[ProductFile]) -> tuple[list[ProductFile], dict[Path, str]]:
    """Replace every file of many days by its days; also returns why others tell none."""
    days: list[ProductFile] = []
    silent: dict[Path, str] = {}
    axes: dict[Path, list[date]] = {}
    for file in files:
        if file.form.has_one_day:
            days.append(file)
            continue
        try:
            if file.path not in axes:
                axes[file.path] = read_product_days(file)
        except InputError as error:
            logger.warning("%s: %s", file.path, error)
            silent[file.path] = str(error)
            continue
        days += file.with_days(axes[file.path])
    return days, silent


def _note_versions(files: Sequence[ProductFile]) -> list[str]:
    """Note that a folder holds several versions or cell sizes of a product."""
    notes = []
    for noun, words in (
        ("versions", [file.version for file in files]),
        ("cell sizes", [file.resolution for file in files]),
    ):
        counts = Counter(word for word in words if word)
        if len(counts) > 1:
            counted = ", ".join(
                f"{word} ({format_count(n, 'day')})" for word, n in sorted(counts.items())
            )
            notes.append(f"several {noun} of {files[0].product.name} in one folder: {counted}")
    return notes
