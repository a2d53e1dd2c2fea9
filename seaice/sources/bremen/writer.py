"""Writing one day in each form of the University of Bremen: NetCDF, HDF4, GeoTIFF.

For simulated days only, and each file says so. Layouts as found in the true files, but for
the southern NetCDF form, which follows the northern one by analogy.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.grids import Grid
from seaice.runtime.atomic_write import atomic
from seaice.sources.bremen.names import (
    VERSION,
    DayFile,
)

# What differs between the Hughes 1980 grids of the two hemispheres:
# EPSG code, hemisphere, latitude of true scale, straight-up longitude.
_HUGHES = {
    "EPSG:3411": (3411, "North", 70, -45),
    "EPSG:3412": (3412, "South", -70, 0),
}
_SPATIAL_REFERENCE = (
    'PROJCS["NSIDC Sea Ice Polar Stereographic {side}",'
    'GEOGCS["Unspecified datum based upon the Hughes 1980 ellipsoid",'
    'DATUM["Not_specified_based_on_Hughes_1980_ellipsoid",'
    'SPHEROID["Hughes 1980",6378273,298.279411123064,AUTHORITY["EPSG","7058"]],'
    'AUTHORITY["EPSG","6054"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],'
    'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4054"]],'
    'PROJECTION["Polar_Stereographic"],PARAMETER["latitude_of_origin",{parallel}],'
    'PARAMETER["central_meridian",{meridian}],PARAMETER["scale_factor",1],'
    'PARAMETER["false_easting",0],PARAMETER["false_northing",0],'
    'UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["X",EAST],AXIS["Y",NORTH],'
    'AUTHORITY["EPSG","{code}"]]'
)
# Names and order as in the real files; the text says what these files are.
_GLOBAL_ATTRIBUTES = {
    "author": "simulated (seaice.simulate)",
    "Conventions": "CF-1.5",
    "GMT_version": "none",
    "history": "made by seaice.simulate in the layout of the University of Bremen daily files",
    "info": "SIMULATED sea ice concentration, no observation",
    "title": "Simulated daily sea ice concentration",
    "GDAL": "none",
}


def write_day(path: Path, concentration: np.ndarray, grid: Grid) -> None:
    """Write one daily file in the NetCDF layout of the University of Bremen.

    Parameters
    ----------
    path : Path
        Output; appears whole or not at all.
    concentration : ndarray, shape (rows, columns)
        Percent; NaN is missing. Written as float32, unchanged.
    grid : Grid
        A polar stereographic grid of the ``n`` or ``s`` family, or a part of one.

    Raises
    ------
    InputError
        If the shape is not the grid's or the grid is of another family.
    """
    import netCDF4

    values = _field_of(concentration, grid)
    mapping = _grid_mapping_attributes(grid)
    with atomic(Path(path), checksum=True) as temporary, netCDF4.Dataset(temporary, "w") as dataset:
        for name, size in (("x", grid.columns), ("y", grid.rows)):
            dataset.createDimension(name, size)
        dataset.createVariable("polar_stereographic", "S1").setncatts(mapping)
        for name, centres in (("x", grid.x), ("y", grid.y)):
            coordinate = dataset.createVariable(name, "f8", (name,))
            coordinate.setncatts(
                {
                    "standard_name": f"projection_{name}_coordinate",
                    "long_name": f"{name} coordinate of projection",
                    "units": "m",
                }
            )
            coordinate[:] = centres
        z = dataset.createVariable(
            "z",
            "<f4",
            ("y", "x"),
            compression="zlib",
            complevel=9,
            shuffle=True,
            chunksizes=(1, grid.columns),
        )
        z.setncatts(
            {
                "long_name": "z",
                "_FillValue": np.float32(np.nan),
                "actual_range": np.array([0, 100], dtype=np.int32),
                "grid_mapping": "polar_stereographic",
            }
        )
        z[:] = values
        dataset.setncatts(_GLOBAL_ATTRIBUTES)


def _field_of(concentration: np.ndarray, grid: Grid) -> np.ndarray:
    values = np.asarray(concentration, dtype=np.float32)
    if values.shape != grid.shape:
        raise InputError(f"expected a field of {grid}, found shape {values.shape}")
    return values


def _grid_mapping_attributes(grid: Grid) -> dict[str, Any]:
    """Attributes of ``polar_stereographic`` in the order and form of the real files."""
    if grid.projection not in _HUGHES:
        raise InputError(
            f"the Bremen layout knows the grids n... and s... ({', '.join(_HUGHES)}), found {grid.id} "
            f"on {grid.projection}"
        )
    code, side, parallel, meridian = _HUGHES[grid.projection]
    _, _, _, north = grid.extent
    return {
        "grid_mapping_name": "polar_stereographic",
        "straight_vertical_longitude_from_pole": float(meridian),
        "false_easting": 0.0,
        "false_northing": 0.0,
        "latitude_of_projection_origin": float(np.copysign(90, parallel)),
        "standard_parallel": float(parallel),
        "long_name": "CRS definition",
        "longitude_of_prime_meridian": 0.0,
        "semi_major_axis": 6378273.0,
        "inverse_flattening": 298.279411123064,
        "spatial_ref": _SPATIAL_REFERENCE.format(
            side=side, parallel=parallel, meridian=meridian, code=code
        ),
        # North-up, although the field is stored south-up, and with a blank at the end: as found.
        "GeoTransform": f"{grid.west:.15g} {grid.step:.15g} 0 {north:.15g} 0 {-grid.step:.15g} ",
    }


def write_day_hdf4(path: Path, concentration: np.ndarray, grid: Grid) -> None:
    """Write one daily file in the HDF4 layout of the University of Bremen.

    Needs pyhdf. Such a file carries no coordinates: its name tells the grid and the day,
    and must follow the grammar of :class:`seaice.sources.bremen.names.DayFile`.

    Parameters and errors as for :func:`write_day`; whole registered grids only.
    """
    from pyhdf.SD import SD, SDC

    values = _field_of(concentration, grid)
    file = _named(path, grid)
    side = "Arctic" if grid.hemisphere == "north" else "Antarctic"
    with atomic(Path(path)) as temporary:
        container = SD(str(temporary), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
        dataset = container.create("ASI Ice Concentration", SDC.FLOAT32, values.shape)
        dataset.setcompress(SDC.COMP_DEFLATE, 6)
        dataset.attr("valid_range").set(SDC.FLOAT32, [0.0, 100.0])
        dataset.long_name = (
            f"ASI Ice Concentration, Version: {file.version}, {file.day:%Y%m%d}, "
            f"res: {grid.kilometres:.5f}, {file.sensor}, Region: {side}"
        )
        dataset.grid_information = "SIMULATED, no observation"
        dataset[:] = values
        dataset.endaccess()
        container.end()


def write_day_geotiff(path: Path, concentration: np.ndarray, grid: Grid) -> None:
    """Write one daily file in the GeoTIFF form of the University of Bremen.

    8 bits with a colour table, first row in the north: whole percent, 120 where the
    value is missing. Labelled WGS 84 (EPSG 3413 or 3976), as the recent ones are.

    Parameters and errors as for :func:`write_day`; whole registered grids only.
    """
    from PIL import Image, TiffImagePlugin, TiffTags

    values = _field_of(concentration, grid)
    _named(path, grid)
    codes = np.where(np.isnan(values), 120, np.round(np.nan_to_num(values))).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(codes[::-1]))
    image.putpalette(_palette())
    west, _, _, north = grid.extent
    keys = (
        (1024, 1),  # GTModelType: projected
        (1025, 1),  # GTRasterType: pixel is area
        (3072, 3413 if grid.hemisphere == "north" else 3976),  # ProjectedCSType
    )
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[_IMAGE_DESCRIPTION] = "SIMULATED, no observation"
    for tag, kind, numbers in (
        (33550, TiffTags.DOUBLE, (grid.step, grid.step, 0.0)),
        (33922, TiffTags.DOUBLE, (0.0, 0.0, 0.0, west, north, 0.0)),
        (34735, TiffTags.SHORT, (1, 1, 0, len(keys), *_geokeys(keys))),
    ):
        tags.tagtype[tag] = kind
        tags[tag] = numbers
    with atomic(Path(path)) as temporary:
        image.save(temporary, format="TIFF", tiffinfo=tags, compression="tiff_lzw")


_IMAGE_DESCRIPTION = 270


def _geokeys(keys: Iterable[tuple[int, int]]) -> list[int]:
    return [number for key, value in keys for number in (key, 0, 1, value)]


def _palette() -> bytes:
    """Blue water to white ice; grey above 100."""
    colours = [(round(2.2 * c), round(60 + 1.9 * c), round(120 + 1.3 * c)) for c in range(101)]
    return bytes(channel for colour in colours + [(128, 128, 128)] * 155 for channel in colour)


def _named(path: Path, grid: Grid) -> DayFile:
    file = DayFile.parse(Path(path).name)
    if file is None or file.grid_id != grid.id:
        good = DayFile("AMSR2", grid.id, date(2020, 1, 1), VERSION, "hdf").name
        raise InputError(f"expected a name such as {good} on {grid.id}, found {Path(path).name}")
    return file
