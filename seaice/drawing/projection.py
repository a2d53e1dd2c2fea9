"""The plane of a grid as a cartopy projection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seaice.grids import Grid

if TYPE_CHECKING:
    from cartopy.crs import Projection


def projection(grid: Grid) -> Projection:
    """The grid's projection for cartopy, on the grid's own ellipsoid.

    Polar stereographic and Lambert azimuthal equal-area grids get cartopy's own
    classes. Any other projection is taken as it is, bounded by the grid's edges.
    """
    import cartopy.crs as ccrs

    known = _cartopy_class(grid)
    if known is not None and _same_plane(known, grid):
        return known

    class GridProjection(ccrs.Projection):
        """A projection as the grid describes it, known on the grid only."""

        def __init__(self) -> None:
            super().__init__(grid.crs.to_wkt())
            self.bounds = grid.extent
            self.threshold = grid.step / 2

    return GridProjection()


def _cartopy_class(grid: Grid) -> Projection | None:
    import cartopy.crs as ccrs

    attributes = grid.to_cf()
    ellipsoid = grid.crs.ellipsoid
    if ellipsoid is None:
        return None
    globe = ccrs.Globe(
        ellipse=None,
        semimajor_axis=ellipsoid.semi_major_metre,
        semiminor_axis=ellipsoid.semi_minor_metre,
    )
    common = {
        "central_latitude": attributes.get("latitude_of_projection_origin", 90.0),
        "false_easting": attributes.get("false_easting", 0.0),
        "false_northing": attributes.get("false_northing", 0.0),
        "globe": globe,
    }
    name = attributes.get("grid_mapping_name")
    if name == "polar_stereographic":
        return ccrs.Stereographic(
            central_longitude=attributes.get("straight_vertical_longitude_from_pole", 0.0),
            true_scale_latitude=attributes.get("standard_parallel"),
            scale_factor=attributes.get("scale_factor_at_projection_origin"),
            **common,
        )
    if name == "lambert_azimuthal_equal_area":
        return ccrs.LambertAzimuthalEqualArea(
            central_longitude=attributes.get("longitude_of_projection_origin", 0.0), **common
        )
    return None


def _same_plane(candidate: Projection, grid: Grid) -> bool:
    """Whether both put a place within the grid at the same x and y, to a metre."""
    from pyproj import Transformer

    west, east, south, north = grid.extent
    xs, ys = np.meshgrid(np.linspace(west, east, 4), np.linspace(south, north, 4))
    to_degrees = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True)
    longitude, latitude = to_degrees.transform(xs, ys)
    there = candidate.transform_points(candidate.as_geodetic(), longitude, latitude)
    known = np.isfinite(longitude)
    return bool(
        np.allclose(there[..., 0][known], xs[known], rtol=0, atol=1)
        and np.allclose(there[..., 1][known], ys[known], rtol=0, atol=1)
    )
