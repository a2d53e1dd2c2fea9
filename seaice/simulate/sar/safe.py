"""Simulated Sentinel-1 products in SAFE format, from sigma nought that the caller gives.

Calibration and noise vary with line and pixel, noise has steps between the sub-swaths, whose bounds
shift within the image, one of its blocks in azimuth has a single line, and its vectors have different
pixels and end before the last line. Nothing here is used by the reader of products, or from it.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from seaice.simulate.sar.layout import locate_points

_METRES = 40.0
_SWATHS = ("EW1", "EW2", "EW3", "EW4", "EW5")
# Share of the samples where each sub-swath begins, and noise equivalent sigma nought in its middle, dB.
_STARTS = (0.0, 0.22, 0.43, 0.62, 0.81)
_NOISE_DECIBELS = (-28.0, -30.5, -29.0, -31.0, -29.5)
# Noise vectors end here, as a share of the lines; bounds of sub-swaths shift here.
_END_OF_NOISE, _SHIFT = 0.8, 0.6
_SHIFT_SAMPLES = 7
# Tags of a TIFF with control points, types of their values, and keys that say latitude and longitude on
# WGS 84 (model type 2, corners of pixels, EPSG 4326).
_TIE_POINT, _GEO_KEYS = 33922, 34735
_SHORT, _DOUBLE = 3, 12
_KEY_DIRECTORY = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)
_DEFAULT_START = datetime(2024, 3, 1, 7, 41, 3, tzinfo=UTC)


@dataclass(frozen=True)
class SafeSettings:
    """What the simulated product is like.

    Attributes
    ----------
    start : datetime
    platform, mode : str
    version : str
        Of the processor; before 2.9 noise has no vectors in azimuth, and borders hold small numbers.
    polarisations : tuple of str
    centre : (float, float)
        Latitude and longitude, degrees.
    heading : float
        Degrees clockwise from north.
    margin : int
        Samples without an image at both sides.
    looks : float or None
        Number of looks of the speckle; None: none.
    is_denoised : bool
        Subtract the noise from the numbers, and say so in the annotation.
    seed : int
        Of speckle and borders.
    """

    start: datetime = _DEFAULT_START
    platform: str = "S1A"
    mode: str = "EW"
    version: str = "003.71"
    polarisations: tuple[str, ...] = ("HH", "HV")
    centre: tuple[float, float] = (78.0, -8.0)
    heading: float = -18.0
    margin: int = 30
    looks: float | None = None
    is_denoised: bool = False
    seed: int = 0

    @property
    def has_azimuth(self) -> bool:
        """Whether noise has vectors in azimuth."""
        return float(self.version) >= 2.9

    @property
    def name(self) -> str:
        """Name of the product without ``.SAFE``."""
        kind = f"1S{'S' if len(self.polarisations) == 1 else 'D'}{self.polarisations[0][0]}"
        times = [f"{t:%Y%m%dT%H%M%S}" for t in (self.start, self.start + timedelta(minutes=1))]
        product = "GRDM" if self.mode == "EW" else "GRDH"
        return f"{self.platform}_{self.mode}_{product}_{kind}_{'_'.join(times)}_052790_066399_0B3A"


class SimulatedRadar:
    """Gain and noise of the simulated instrument, as functions of line and sample.

    Parameters
    ----------
    shape : (int, int)
        Lines and samples.
    has_azimuth : bool
        Whether noise varies by the vectors in azimuth.
    """

    def __init__(self, shape: tuple[int, int], *, has_azimuth: bool) -> None:
        self.lines, self.samples = shape
        self.has_azimuth = has_azimuth
        self.shift = round(_SHIFT * self.lines)
        self.last_noise_line = round(_END_OF_NOISE * (self.lines - 1))

    def list_starts(self, line: float) -> list[int]:
        """First sample of every sub-swath at a line."""
        starts = [round(share * self.samples) for share in _STARTS]
        moved = _SHIFT_SAMPLES if line >= self.shift else 0
        return [starts[0], *(start + moved for start in starts[1:])]

    def compute_gain(self, line: np.ndarray | float, sample: np.ndarray) -> np.ndarray:
        """Amplitude of a sigma nought of 1."""
        tilt = 1 + 0.25 * np.asarray(sample) / self.samples
        return np.asarray(9000.0 * tilt * (1 + 0.03 * np.asarray(line) / self.lines))

    def compute_range_noise(self, line: float, sample: np.ndarray) -> np.ndarray:
        """Noise power of a line, without its variation in azimuth."""
        line = min(line, self.last_noise_line)
        swath = np.searchsorted(self.list_starts(line), sample, side="right") - 1
        # The shift of the bounds moves the steps alone.
        starts = np.array(self.list_starts(0))
        ends = np.append(starts[1:], self.samples)
        across = 2 * (sample - starts[swath]) / (ends - starts)[swath] - 1
        middle = 10 ** (np.array(_NOISE_DECIBELS)[swath] / 10)
        growth = 1 + 0.2 * line / self.lines
        return np.asarray(middle * (1 + 0.5 * across**2) * growth * 9000.0**2)

    def compute_azimuth_factor(self, swath: int, line: np.ndarray) -> np.ndarray:
        """Variation of noise along the lines of a sub-swath; constant in the block of one line."""
        factor = 1 + 0.12 * np.sin(2 * np.pi * np.asarray(line, float) / (90 + 12 * swath))
        if swath == 2:
            factor = np.where(line >= self.shift, 1.08, factor)
        return np.asarray(factor)

    def compute_noise(self, rows: range) -> np.ndarray:
        """Noise power of rows, float64 (rows, samples)."""
        samples = np.arange(self.samples)
        return np.stack([self._compute_line(line, samples) for line in rows])

    def _compute_line(self, line: int, samples: np.ndarray) -> np.ndarray:
        power = self.compute_range_noise(line, samples)
        if not self.has_azimuth:
            return power
        swath = np.searchsorted(self.list_starts(line), samples, side="right") - 1
        factors = [float(self.compute_azimuth_factor(k, np.array(line))) for k in range(len(_SWATHS))]
        return np.asarray(power * np.array(factors)[swath])


def write_safe(folder: Path, sigma: np.ndarray, settings: SafeSettings | None = None) -> Path:
    """Write a product.

    Parameters
    ----------
    folder : Path
        Where ``NAME.SAFE`` is made; one of the same name is replaced.
    sigma : ndarray of float, shape (polarisations, lines, samples)
        Sigma nought of 40 m pixels, linear.
    settings : SafeSettings, optional

    Returns
    -------
    Path
        ``NAME.SAFE``.

    Examples
    --------
    >>> path = write_safe(folder, np.full((2, 600, 1200), 0.01))  # doctest: +SKIP
    >>> path.name[:16]  # doctest: +SKIP
    'S1A_EW_GRDM_1SDH'
    """
    settings = settings or SafeSettings()
    shape = (int(sigma.shape[1]), int(sigma.shape[2]))
    radar = SimulatedRadar(shape, has_azimuth=settings.has_azimuth)
    safe = Path(folder) / f"{settings.name}.SAFE"
    shutil.rmtree(safe, ignore_errors=True)
    for name in ("annotation/calibration", "measurement"):
        (safe / name).mkdir(parents=True)
    _write(safe / "manifest.safe", _format_manifest(settings))
    for k, polarisation in enumerate(settings.polarisations):
        stem = _name_file(settings, polarisation, k)
        _write_image(safe / "measurement" / f"{stem}.tiff", sigma[k], radar, settings, k)
        annotation = safe / "annotation"
        _write(annotation / f"{stem}.xml", _format_annotation(radar, settings, polarisation))
        calibration = annotation / "calibration"
        _write(calibration / f"calibration-{stem}.xml", _format_calibration(radar))
        _write(calibration / f"noise-{stem}.xml", _format_noise(radar))
    return safe


def zip_safe(safe: Path) -> Path:
    """Write the zip of a product beside it; returns its path."""
    path = safe.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(safe.rglob("*")):
            archive.write(file, f"{safe.name}/{file.relative_to(safe).as_posix()}")
    return path


def _name_file(settings: SafeSettings, polarisation: str, number: int) -> str:
    start, stop = settings.start, settings.start + timedelta(minutes=1)
    return (
        f"{settings.platform}-{settings.mode}-grd-{polarisation}-{start:%Y%m%dt%H%M%S}-"
        f"{stop:%Y%m%dt%H%M%S}-052790-066399-{number + 1:03d}"
    ).lower()


def _write(path: Path, text: str) -> None:
    path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n', encoding="utf-8")


def _write_image(
    path: Path, sigma: np.ndarray, radar: SimulatedRadar, settings: SafeSettings, number: int
) -> None:
    """Write digital numbers as a TIFF of 16 bits."""
    from PIL import Image, TiffImagePlugin

    rng = np.random.default_rng([settings.seed, number])
    image = np.empty(sigma.shape, np.uint16)
    samples = np.arange(radar.samples)
    for first in range(0, radar.lines, 200):
        rows = range(first, min(first + 200, radar.lines))
        gain = radar.compute_gain(np.array(rows)[:, None], samples)
        noise = radar.compute_noise(rows)
        power = sigma[rows.start : rows.stop] * gain**2 + noise
        if settings.looks is not None:
            power *= rng.gamma(settings.looks, 1 / settings.looks, power.shape)
        if settings.is_denoised:
            power -= noise
        numbers = np.rint(np.sqrt(np.maximum(power, 0)))
        image[rows.start : rows.stop] = np.clip(numbers, 0, 65535)
        # The image ends along a slanted line; older processors left small numbers there.
        width = settings.margin * (1 - 0.3 * np.array(rows)[:, None] / radar.lines)
        outside = (samples < width) | (samples >= radar.samples - width)
        small = 0 if settings.has_azimuth else rng.integers(1, 9, power.shape)
        image[rows.start : rows.stop][outside] = np.broadcast_to(small, power.shape)[outside]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    points = np.stack([values.ravel() for values in _locate_points(radar, settings)])
    line, sample, latitude, longitude = points
    table = np.stack([sample, line, 0 * line, longitude, latitude, 0 * line], axis=1)
    for number, kind, values in (
        (_TIE_POINT, _DOUBLE, tuple(table.ravel().tolist())),
        (_GEO_KEYS, _SHORT, _KEY_DIRECTORY),
    ):
        tags.tagtype[number] = kind
        tags[number] = values
    Image.fromarray(image).save(path, format="TIFF", tiffinfo=tags)


def _format_manifest(settings: SafeSettings) -> str:
    return (
        '<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="http://www.esa.int/safe/sentinel-1.0">'
        f'<metadataSection><safe:software name="Sentinel-1 IPF" version="{settings.version}"/>'
        "</metadataSection></xfdu:XFDU>"
    )


def _join(values: np.ndarray) -> str:
    return " ".join(f"{value:.6e}" for value in np.ravel(values))


def _format_vector(tag: str, line: int, pixels: np.ndarray, values: Mapping[str, np.ndarray]) -> str:
    tables = "".join(
        f'<{name} count="{pixels.size}">{_join(table)}</{name}>' for name, table in values.items()
    )
    pixel = " ".join(str(int(p)) for p in pixels)
    return f'<{tag}><line>{line}</line><pixel count="{pixels.size}">{pixel}</pixel>{tables}</{tag}>'


def _format_calibration(radar: SimulatedRadar) -> str:
    pixels = np.unique(np.append(np.arange(0, radar.samples, 40), radar.samples - 1))
    vectors = []
    for line in np.unique(np.linspace(-50, radar.lines + 50, 9).astype(int)):
        gain = radar.compute_gain(float(line), pixels)
        # Other quantities, which must not be taken for sigma nought.
        values = {"sigmaNought": gain, "betaNought": 0.8 * gain, "gamma": 0.9 * gain, "dn": 0.8 * gain}
        vectors.append(_format_vector("calibrationVector", line, pixels, values))
    return (
        "<calibration><calibrationInformation><absoluteCalibrationConstant>1.000000e+00"
        "</absoluteCalibrationConstant></calibrationInformation>"
        f'<calibrationVectorList count="{len(vectors)}">{"".join(vectors)}'
        "</calibrationVectorList></calibration>"
    )


def _format_noise(radar: SimulatedRadar) -> str:
    prefix, table = ("noiseRange", "noiseRangeLut") if radar.has_azimuth else ("noise", "noiseLut")
    vectors = []
    for k, line in enumerate(np.linspace(0, radar.last_noise_line, 12).astype(int)):
        pixels = np.unique(np.append(np.arange(0, radar.samples, (20, 25)[k % 2]), radar.samples - 1))
        values = {table: radar.compute_range_noise(float(line), pixels)}
        vectors.append(_format_vector(f"{prefix}Vector", int(line), pixels, values))
    text = f"<{prefix}VectorList>{''.join(vectors)}</{prefix}VectorList>"
    if radar.has_azimuth:
        blocks = "".join(_format_azimuth(radar, *bounds) for bounds in _list_bounds(radar))
        text += f"<noiseAzimuthVectorList>{blocks}</noiseAzimuthVectorList>"
    return f"<noise>{text}</noise>"


def _list_bounds(radar: SimulatedRadar) -> list[tuple[int, int, int, int, int]]:
    """Sub-swath, first and last line, first and last sample of all blocks."""
    bounds = []
    for k in range(len(_SWATHS)):
        for first, last in ((0, radar.shift - 1), (radar.shift, radar.lines - 1)):
            starts = [*radar.list_starts(first), radar.samples]
            bounds.append((k, first, last, starts[k], starts[k + 1] - 1))
    return bounds


def _format_azimuth(
    radar: SimulatedRadar, swath: int, first: int, last: int, near: int, far: int
) -> str:
    is_single = swath == 2 and first > 0
    lines = np.array([first]) if is_single else np.unique(np.append(np.arange(first, last, 4), last))
    text = " ".join(str(line) for line in lines)
    return (
        f"<noiseAzimuthVector><swath>{_SWATHS[swath]}</swath><firstAzimuthLine>{first}</firstAzimuthLine>"
        f"<firstRangeSample>{near}</firstRangeSample><lastAzimuthLine>{last}</lastAzimuthLine>"
        f'<lastRangeSample>{far}</lastRangeSample><line count="{lines.size}">{text}</line>'
        f'<noiseAzimuthLut count="{lines.size}">'
        f"{_join(radar.compute_azimuth_factor(swath, lines))}</noiseAzimuthLut></noiseAzimuthVector>"
    )


def _format_annotation(radar: SimulatedRadar, settings: SafeSettings, polarisation: str) -> str:
    merges = "".join(
        f"<swathMerge><swath>{_SWATHS[k]}</swath><swathBoundsList><swathBounds>"
        f"<firstAzimuthLine>{first}</firstAzimuthLine><firstRangeSample>{near}</firstRangeSample>"
        f"<lastAzimuthLine>{last}</lastAzimuthLine><lastRangeSample>{far}</lastRangeSample>"
        "</swathBounds></swathBoundsList></swathMerge>"
        for k, first, last, near, far in _list_bounds(radar)
    )
    denoised = "true" if settings.is_denoised else "false"
    spacing = _METRES if settings.mode == "EW" else 10.0
    return (
        f"<product><adsHeader><missionId>{settings.platform}</missionId><productType>GRD</productType>"
        f"<polarisation>{polarisation}</polarisation><mode>{settings.mode}</mode>"
        f"<startTime>{settings.start:%Y-%m-%dT%H:%M:%S.%f}</startTime></adsHeader><imageAnnotation>"
        f"<imageInformation><rangePixelSpacing>{spacing:.6e}</rangePixelSpacing>"
        f"<azimuthPixelSpacing>{spacing:.6e}</azimuthPixelSpacing>"
        f"<numberOfSamples>{radar.samples}</numberOfSamples><numberOfLines>{radar.lines}</numberOfLines>"
        "</imageInformation><processingInformation>"
        f"<thermalNoiseCorrectionPerformed>{denoised}</thermalNoiseCorrectionPerformed>"
        f"</processingInformation></imageAnnotation><geolocationGrid><geolocationGridPointList>"
        f"{_format_points(radar, settings)}</geolocationGridPointList></geolocationGrid>"
        f"<swathMerging><swathMergeList>{merges}</swathMergeList></swathMerging></product>"
    )


def _locate_points(
    radar: SimulatedRadar, settings: SafeSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Line, sample, latitude and longitude of the geolocation points."""
    lines = np.unique(np.linspace(0, radar.lines - 1, 21).astype(int))
    samples = np.unique(np.linspace(0, radar.samples - 1, 21).astype(int))
    down, across = np.meshgrid(lines, samples, indexing="ij")
    return down, across, *locate_pixels(radar, settings, down, across)


def _format_points(radar: SimulatedRadar, settings: SafeSettings) -> str:
    points = [values.ravel() for values in _locate_points(radar, settings)]
    angle = compute_incidence(points[1] / (radar.samples - 1))
    return "".join(
        f"<geolocationGridPoint><line>{line}</line><pixel>{sample}</pixel><latitude>{lat:.12e}</latitude>"
        f"<longitude>{lon:.12e}</longitude><height>0.0</height>"
        f"<incidenceAngle>{degrees:.9e}</incidenceAngle></geolocationGridPoint>"
        for line, sample, lat, lon, degrees in zip(*points, angle, strict=True)
    )


def compute_incidence(share: np.ndarray) -> np.ndarray:
    """Incidence angle in degrees at a share of the swath, 0 near and 1 far; 19 to 47, not linear."""
    return np.asarray(19 + 32 * share - 4 * share**2)


def locate_pixels(
    radar: SimulatedRadar, settings: SafeSettings, line: np.ndarray, sample: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of centres of pixels, degrees."""
    forward = (line - (radar.lines - 1) / 2) * _METRES
    right = (sample - (radar.samples - 1) / 2) * _METRES
    return locate_points(settings.centre, settings.heading, forward, right)
