"""A product of Sentinel-1 in SAFE format: what its annotation says, and where its rasters are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from seaice import InputError
from seaice.sources.sentinel1.documents import Document
from seaice.sources.sentinel1.names import ProductName
from seaice.sources.sentinel1.positions import TiePoints, read_tie_points
from seaice.sources.sentinel1.safe_files import SafeFiles
from seaice.sources.sentinel1.sub_swaths import SwathBlock

PAIRS = (("HH", "HV"), ("VV", "VH"))
_DOWNLOAD = "download the product again"
_FILE_NAMES = {
    "annotation": r"annotation/[^/]+\.xml",
    "calibration": r"annotation/calibration/calibration-[^/]+\.xml",
    "noise": r"annotation/calibration/noise-[^/]+\.xml",
    "measurement": r"measurement/[^/]+\.tiff?",
}
_IS_DENOISED = ("thermalNoiseCorrectionPerformed", "noiseCorrectionPerformed")
_PROCESSING = "imageAnnotation/processingInformation"
# Metres between pixels of medium resolution.
_SPACING = 40.0


@dataclass(frozen=True)
class Annotation:
    """Annotation of one polarisation.

    Attributes
    ----------
    polarisation : str
    start : datetime
        UTC.
    shape : (int, int)
        Lines and samples.
    is_denoised : bool
        Whether thermal noise is subtracted in the product already.
    blocks : list of SwathBlock
        Sub-swaths; empty if it does not say.
    tie_points : TiePoints
    """

    polarisation: str
    start: datetime
    shape: tuple[int, int]
    is_denoised: bool
    blocks: list[SwathBlock]
    tie_points: TiePoints


@dataclass(frozen=True)
class SafeProduct:
    """A product of ground range images, medium resolution, extra-wide swath, in two polarisations.

    Attributes
    ----------
    files : SafeFiles
    platform : str
        Such as ``S1A``.
    version : str
        Version of the processor, such as ``002.72``; empty if the manifest does not say.
    annotations : dict of str to Annotation
        By polarisation, the co-polarised one first.
    """

    files: SafeFiles
    platform: str
    version: str
    annotations: dict[str, Annotation]

    @property
    def is_before_2_9(self) -> bool:
        """Whether the processor is older than 2.9, or unknown."""
        return parse_version(self.version) < (2, 90)

    @property
    def reference(self) -> Annotation:
        """Annotation of the co-polarised image."""
        return next(iter(self.annotations.values()))

    def read_document(self, kind: str, polarisation: str) -> Document:
        """Read the document ``calibration`` or ``noise`` of a polarisation.

        Raises
        ------
        InputError
            If it is absent or damaged.
        """
        name = find_file(self.files, kind, polarisation)
        if name is None:
            advice = " or --noise none" if kind == "noise" else ""
            raise InputError(
                f"expected the {kind} vectors of {polarisation} in annotation/calibration, found none: "
                f"{self.files.path}; {_DOWNLOAD}{advice}"
            )
        return _parse(self.files, name)

    def locate_raster(self, polarisation: str) -> str:
        """Name by which GDAL opens the digital numbers of a polarisation."""
        name = find_file(self.files, "measurement", polarisation)
        if name is None:
            raise InputError(
                f"expected the image of {polarisation} in measurement, found none: {self.files.path}; "
                f"{_DOWNLOAD}"
            )
        return self.files.locate_raster(name)


def parse_version(text: str) -> tuple[int, int]:
    """Parse a version of the processor; (0, 0) for a text that is none.

    Examples
    --------
    >>> parse_version("002.72"), parse_version("003.31"), parse_version("2.9"), parse_version("")
    ((2, 72), (3, 31), (2, 90), (0, 0))
    """
    match = re.match(r"(\d+)\.(\d\d?)", text)
    return (int(match[1]), int(match[2].ljust(2, "0"))) if match else (0, 0)


def find_file(files: SafeFiles, kind: str, polarisation: str) -> str | None:
    """Find the first file of a kind and a polarisation; None if there is none."""
    pattern = re.compile(_FILE_NAMES[kind])
    word = f"-{polarisation.lower()}-"
    names = (name for name in files.names if pattern.fullmatch(name) and word in name.lower())
    return next(names, None)


def open_product(path: Path) -> SafeProduct:
    """Open a product and check that it is one that can be read.

    Parameters
    ----------
    path : Path
        Folder ``NAME.SAFE``, or the zip of it.

    Raises
    ------
    InputError
        If it is of another mode, level or resolution, has one polarisation, or is damaged.
    """
    files = SafeFiles(path)
    name = ProductName.parse(files.name)
    if name is not None:
        _check_kind(path, name.mode, name.type, name.resolution)
    pair = max(PAIRS, key=lambda pair: sum(_has_image(files, pol) for pol in pair))
    present = [pol for pol in pair if _has_image(files, pol)]
    if len(present) < 2:
        raise InputError(
            f"expected two polarisations, HH and HV or VV and VH, found {' '.join(present) or 'none'}: "
            f"{path}; choose a product of dual polarisation (1SDH)"
        )
    documents = {pol: _parse(files, str(find_file(files, "annotation", pol))) for pol in pair}
    header = documents[pair[0]]
    kind = header.read_text("adsHeader/mode"), header.read_text("adsHeader/productType")
    _check_kind(path, *kind, "M" if name is None else name.resolution)
    annotations = {pol: read_annotation(document) for pol, document in documents.items()}
    shapes = [annotation.shape for annotation in annotations.values()]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"expected images of one size, found {shapes[0]} and {shapes[1]}: {path}; {_DOWNLOAD}"
        )
    manifest = _parse(files, "manifest.safe")
    versions = [version for software, version in manifest.iterate_software() if "IPF" in software]
    platform = header.read_text("adsHeader/missionId")
    return SafeProduct(files, platform, versions[0] if versions else "", annotations)


def _has_image(files: SafeFiles, polarisation: str) -> bool:
    return find_file(files, "annotation", polarisation) is not None


def _check_kind(path: Path, mode: str, type_: str, resolution: str) -> None:
    if (mode, type_, resolution) != ("EW", "GRD", "M"):
        raise InputError(
            f"expected a product EW GRDM, found {mode} {type_}{resolution.strip('_')}: {path}; choose "
            "one of extra-wide swath in medium resolution"
        )


def _parse(files: SafeFiles, name: str) -> Document:
    return Document.parse(files.read_document(name), f"{files.path}, {name}")


def read_annotation(document: Document) -> Annotation:
    """Read the annotation of one polarisation.

    Raises
    ------
    InputError
        If it lacks what is needed, or its pixels are not those of medium resolution.
    """
    information = "imageAnnotation/imageInformation"
    shape = (
        document.read_integer(f"{information}/numberOfLines"),
        document.read_integer(f"{information}/numberOfSamples"),
    )
    spacing = document.read_number(f"{information}/rangePixelSpacing")
    if min(shape) < 2 or not 0.9 < spacing / _SPACING < 1.1:
        raise InputError(
            f"expected an image of 40 m pixels, found {shape[0]} x {shape[1]} of {spacing:g} m: "
            f"{document.name}; choose a product of medium resolution (GRDM)"
        )
    text = document.read_text("adsHeader/startTime")
    try:
        start = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise InputError(
            f"expected a time in startTime, found {text[:40]!r} in {document.name}; {_DOWNLOAD}"
        ) from None
    return Annotation(
        polarisation=document.read_text("adsHeader/polarisation"),
        start=start,
        shape=shape,
        is_denoised="true" in [document.find_text(f"{_PROCESSING}/{name}") for name in _IS_DENOISED],
        blocks=_read_blocks(document),
        tie_points=read_tie_points(document),
    )


def _read_blocks(document: Document) -> list[SwathBlock]:
    return [
        SwathBlock(
            swath.read_text("swath"),
            bounds.read_integer("firstAzimuthLine"),
            bounds.read_integer("firstRangeSample"),
        )
        for swath in document.list_elements("swathMerging/swathMergeList/swathMerge")
        for bounds in swath.list_elements("swathBoundsList/swathBounds")
    ]
