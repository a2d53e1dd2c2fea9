"""Grids of other products with named places on them, and areas that no code of the package computes."""

import numpy as np
from pyproj import CRS, Geod, Transformer

from seaice.grids import Grid

QUARTER = "EPSG:4326:0.25:-180,-90,180,90"
NSIDC_EDGES = "-3850000,-5350000,3750000,5850000"

# Named places: longitude, latitude, and their cells on three grids by hand.
PLACES = {
    "North Pole": (0.1, 89.99),
    "Svalbard": (16.1, 78.05),
    "Chukchi Sea at the dateline": (179.9, 66.1),
    "Gulf of Guinea": (0.1, 0.1),
}
LOCATED = {
    # x = r sin(45 + longitude), y = -r cos(45 + longitude); by the formula of the sphere r is 1293 km at
    # 78.05 N and 2615 km at 66.1 N, about half a percent less than on the ellipsoid.
    f"EPSG:3413:25000:{NSIDC_EDGES}": {
        "North Pole": (213, 154),
        "Svalbard": (188, 199),
        "Chukchi Sea at the dateline": (288, 79),
    },
    # x = r sin(longitude), y = -r cos(longitude); r = 2 R sin(half the distance from the pole): 1327 km
    # at 78.05 N and 2640 km at 66.1 N.
    "osisafn12500": {
        "North Pole": (431, 432),
        "Svalbard": (329, 461),
        "Chukchi Sea at the dateline": (643, 432),
    },
    QUARTER: {
        "North Pole": (719, 720),
        "Svalbard": (672, 784),
        "Chukchi Sea at the dateline": (624, 1439),
        "Gulf of Guinea": (360, 720),
    },
}
TEXTS = tuple(LOCATED)


def measure_area(grid: Grid, row: int, column: int) -> float:
    """Area of a cell in km2 on the ellipsoid, from a polygon with many corners along its edges."""
    west, south = grid.west + column * grid.step, grid.south + row * grid.step
    along = np.linspace(0, grid.step, 400, endpoint=False)
    zero = np.zeros_like(along)
    x = west + np.concatenate([along, zero + grid.step, grid.step - along, zero])
    y = south + np.concatenate([zero, along, zero + grid.step, grid.step - along])
    crs = CRS.from_user_input(grid.projection)
    longitude, latitude = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y)
    ellipsoid = crs.ellipsoid
    geod = Geod(a=ellipsoid.semi_major_metre, b=ellipsoid.semi_minor_metre)
    return abs(geod.polygon_area_perimeter(longitude, latitude)[0]) / 1e6
