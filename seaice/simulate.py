"""Simulated daily files in the true layout of the University of Bremen, for trials and tests.

Small, realistic and free of rights: coasts, a pack that grows, melts and drifts, and
gaps as a real orbit makes them. No value in these files was measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.atomic import atomic
from seaice.grids import Grid

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

    field = _field_of(concentration, grid)
    mapping = _grid_mapping_attributes(grid)
    with atomic(Path(path)) as temporary, netCDF4.Dataset(temporary, "w") as dataset:
        for name, values in (("x", grid.x), ("y", grid.y)):
            dataset.createDimension(name, values.size)
        dataset.createVariable("polar_stereographic", "S1").setncatts(mapping)
        for name, values in (("x", grid.x), ("y", grid.y)):
            coordinate = dataset.createVariable(name, "f8", (name,))
            coordinate.setncatts(
                {
                    "standard_name": f"projection_{name}_coordinate",
                    "long_name": f"{name} coordinate of projection",
                    "units": "m",
                }
            )
            coordinate[:] = values
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
        z[:] = field
        dataset.setncatts(_GLOBAL_ATTRIBUTES)


def _field_of(concentration: np.ndarray, grid: Grid) -> np.ndarray:
    field = np.asarray(concentration, dtype=np.float32)
    if field.shape != grid.shape:
        raise InputError(f"expected a field of {grid}, found shape {field.shape}")
    return field


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
