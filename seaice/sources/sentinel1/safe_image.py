"""Sigma nought of a product in SAFE format: calibrated, without thermal noise and border noise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.sources.sentinel1.border import TRIM_BEFORE_2_9, find_valid
from seaice.sources.sentinel1.image import (
    Sentinel1Image,
    SwathBounds,
    average_pixels,
    convert_to_decibels,
)
from seaice.sources.sentinel1.lookup_table import LookupTable, read_vectors
from seaice.sources.sentinel1.noise import NoiseCorrection, ThermalNoise
from seaice.sources.sentinel1.positions import compute_mean_index
from seaice.sources.sentinel1.product import SafeProduct, open_product, parse_version
from seaice.sources.sentinel1.raster import open_raster, read_rows, split_rows
from seaice.sources.sentinel1.sub_swaths import SubSwaths

logger = logging.getLogger(__name__)

_FACTOR = 2  # 40 m to 80 m


class SigmaNought:
    """Sigma nought of a product, block by block of rows.

    sigma0 = (DN^2 - noise) / A^2, where A is the interpolated calibration vector ``sigmaNought``.

    Parameters
    ----------
    product : SafeProduct
    noise : {"esa", "esa_floor", "none"}
        ``none`` reads no noise vectors. The mean of ``esa_floor`` is not added here, see
        :func:`read_safe_image`.
    """

    def __init__(self, product: SafeProduct, noise: NoiseCorrection) -> None:
        self.product = product
        self.shape = product.reference.shape
        self._trim = TRIM_BEFORE_2_9 if product.is_before_2_9 else 0
        self._gains, self._noises = [], []
        for polarisation, annotation in product.annotations.items():
            document = product.read_document("calibration", polarisation)
            elements = document.list_elements("calibrationVectorList/calibrationVector")
            vectors = read_vectors(elements, "sigmaNought")
            if not vectors or min(vector.values.min() for vector in vectors) <= 0:
                raise InputError(
                    f"expected calibration vectors above 0 in {document.name}, found none; download the "
                    "product again"
                )
            swaths = SubSwaths(annotation.blocks, self.shape)
            self._gains.append(LookupTable(vectors, swaths, self.shape[1]))
            if noise != "none":
                document = product.read_document("noise", polarisation)
                self._noises.append(ThermalNoise(document, annotation.blocks, self.shape))

    def iterate(self) -> Iterator[tuple[range, np.ndarray, np.ndarray | None]]:
        """Read all rows from the first to the last.

        Yields
        ------
        rows : range
        sigma : ndarray of float32, shape (2, rows, samples)
            Linear; NaN where there is no backscatter. Values may lie below 0 where noise is subtracted.
        noise : ndarray of float32, shape (2, rows, samples), or None
            Power of the noise as sigma nought, whether it is subtracted or not; None with ``none``.
        """
        product = self.product
        with ExitStack() as stack:
            rasters = [self._open(stack, polarisation) for polarisation in product.annotations]
            for rows in split_rows(*self.shape, _FACTOR):
                numbers = np.stack([read_rows(raster, 1, rows) for raster in rasters])
                is_empty = ~find_valid(numbers, self._trim)
                sigma, noises = numbers.astype(np.float32), []
                sigma *= sigma
                for k, annotation in enumerate(product.annotations.values()):
                    gain = self._gains[k].interpolate(rows)
                    gain *= gain
                    sigma[k] /= gain
                    if self._noises:
                        power = self._noises[k].interpolate(rows)
                        power /= gain
                        if not annotation.is_denoised:
                            sigma[k] -= power
                        noises.append(power)
                    sigma[k][is_empty] = np.nan
                yield rows, sigma, np.stack(noises) if noises else None

    def _open(self, stack: ExitStack, polarisation: str) -> Any:
        raster = stack.enter_context(
            open_raster(self.product.locate_raster(polarisation), self.product.files.path)
        )
        if raster.shape != self.shape or raster.dtypes[0] != "uint16":
            raise InputError(
                f"expected an image of {self.shape[0]} x {self.shape[1]} in uint16, found "
                f"{raster.shape[0]} x {raster.shape[1]} in {raster.dtypes[0]}: "
                f"{self.product.files.path}; download it again"
            )
        return raster


def read_safe_image(path: Path, noise: NoiseCorrection = "esa_floor") -> Sentinel1Image:
    """Read a product as an image of 80 m in decibels.

    Parameters
    ----------
    path : Path
        Folder ``NAME.SAFE``, or the zip of it.
    noise : {"esa", "esa_floor", "none"}
        Subtract thermal noise; subtract it and add its mean over the image, as the scenes of AI4Arctic
        have it (Korosov et al. 2022, doi:10.1109/TGRS.2021.3131036), so that calm water keeps finite
        values; or keep it.

    Returns
    -------
    Sentinel1Image
        Pixels are means of the power of 2 x 2 pixels.

    Raises
    ------
    InputError
        If the product is of another kind, or damaged.
    """
    product = open_product(path)
    _warn_of_version(product)
    reader = SigmaNought(product, noise)
    shape = reader.shape[0] // _FACTOR, reader.shape[1] // _FACTOR
    power = np.full((2, *shape), np.nan, np.float32)
    sums, counts = np.zeros(2), 0
    for rows, sigma, noises in reader.iterate():
        power[:, rows.start // _FACTOR : rows.stop // _FACTOR] = average_pixels(sigma, _FACTOR)
        if noises is not None:
            is_valid = np.isfinite(sigma[0])
            sums += [field.sum(where=is_valid, dtype=np.float64) for field in noises]
            counts += int(is_valid.sum())
    names = tuple(product.annotations)
    means = dict(zip(names, (sums / counts).tolist(), strict=True)) if counts else {}
    at_floor = {}
    for k, name in enumerate(names):
        if noise == "esa_floor":
            power[k] += np.float32(means.get(name, 0))
        at_floor[name] = convert_to_decibels(power[k])
    tie_points = product.reference.tie_points
    positions, residual = tie_points.locate_pixels(shape, _FACTOR)
    return Sentinel1Image(
        path=path,
        name=product.files.name,
        start=product.reference.start,
        decibels=dict(zip(names, power, strict=True)),
        positions=positions,
        residual=residual,
        noise=_name_noise(product, noise),
        noise_power=means,
        tie_points=tie_points,
        swath_bounds=_list_bounds(product, shape),
        attributes={
            "product": product.files.name,
            "platform": product.platform,
            "processor_version": product.version,
            "border": f"0 in a polarisation, rows trimmed by {reader._trim} samples at both ends",
        }
        | {f"share_at_floor_{name}": share for name, share in at_floor.items()},
        factor=_FACTOR,
    )


def _name_noise(product: SafeProduct, noise: NoiseCorrection) -> str:
    """State of the noise; a product in which it is subtracted has no way back."""
    return "esa" if noise == "none" and product.reference.is_denoised else noise


def _list_bounds(product: SafeProduct, shape: tuple[int, int]) -> tuple[SwathBounds, ...]:
    annotation = product.reference
    if not annotation.blocks:
        return ()
    return tuple(
        SwathBounds(
            -(-segment.first // _FACTOR),
            min(segment.stop // _FACTOR, shape[0]),
            tuple(compute_mean_index(segment.edges[1:-1] - 0.5, _FACTOR).tolist()),
        )
        for segment in SubSwaths(annotation.blocks, annotation.shape).segments
    )


def _warn_of_version(product: SafeProduct) -> None:
    version, name = parse_version(product.version), product.files.name
    if not product.is_before_2_9:
        return
    text = "noise vectors in azimuth are absent, so that scalloping stays, and borders hold noise"
    if version < (2, 43):
        text += "; before 2.43 noise vectors are not qualified"
    elif version < (2, 53):
        text += "; before 2.53 noise vectors may be wrong"
    logger.warning(
        "%s: processor version %s is before 2.9: %s", name, product.version or "unknown", text
    )
