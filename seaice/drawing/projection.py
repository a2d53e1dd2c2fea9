"""Map projection of a grid for cartopy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seaice.grids import Grid

if TYPE_CHECKING:
    from cartopy.crs import Projection


def make_projection(grid: Grid) -> Projection:
    """Make the projection of a grid for cartopy, on the ellipsoid of the grid.

    Polar stereographic and Lambert azimuthal equal-area grids get the classes of cartopy. For any
    other projection a class is made that is valid within the edges of the grid. Its coordinates are
    those of the grid also in degrees, with longitudes from the western edge of the grid on.
    """
    import cartopy.crs as ccrs

    projection = _make_cartopy_projection(grid)
    if projection is not None and _has_same_coordinates(projection, grid):
        return projection

    class GridProjection(ccrs.Projection):
        """Projection that the grid describes, within the edges of the grid."""

        def __init__(self) -> None:
            super().__init__(_describe_degrees(grid) if grid.is_geographic else grid.crs.to_wkt())
            self.bounds = grid.extent
            self.threshold = grid.step / 2

    return GridProjection()


def _describe_degrees(grid: Grid) -> str:
    """Describe a map on which x is the longitude and y the latitude in degrees, for PROJ.

    The longitudes of the map are within half a circle of its middle.
    """
    west, east, *_ = grid.extent
    middle, radius = (west + east) / 2, 6_378_137.0
    metres = float(np.radians(radius))  # of a degree
    shift = middle * metres
    position = f"+lon_0={middle!r} +x_0={shift!r}"
    return f"+proj=eqc {position} +R={radius!r} +to_meter={metres!r} +no_defs +type=crs"


def _make_cartopy_projection(grid: Grid) -> Projection | None:
    """Make a projection of a class of cartopy; None if cartopy has none of this kind."""
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


def _has_same_coordinates(projection: Projection, grid: Grid) -> bool:
    """Whether a projection gives positions within the grid the x and y of the grid, to a metre."""
    from pyproj import Transformer

    west, east, south, north = grid.extent
    xs, ys = np.meshgrid(np.linspace(west, east, 4), np.linspace(south, north, 4))
    to_degrees = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True)
    longitude, latitude = to_degrees.transform(xs, ys)
    points = projection.transform_points(projection.as_geodetic(), longitude, latitude)
    on_earth = np.isfinite(longitude)
    return bool(
        np.allclose(points[..., 0][on_earth], xs[on_earth], rtol=0, atol=1)
        and np.allclose(points[..., 1][on_earth], ys[on_earth], rtol=0, atol=1)
    )
