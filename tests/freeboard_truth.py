"""What a freeboard grid should hold, by plain loops: slow, and independent of the package."""

import math
from typing import NamedTuple


class Cell(NamedTuple):
    count: int
    mean: float
    std: float
    mean_length: float
    tracks: int


def expected_grid(tracks, grid) -> dict[tuple[int, int], Cell]:
    """Statistics of every cell that has segments, by (row, column) of ``grid``.

    ``tracks`` are tuples of a name and segments (latitude, longitude, value, length), which are
    already selected. Row 0 is the smallest y, as in seaice.grids.
    """
    from pyproj import Transformer

    transformer = Transformer.from_crs("EPSG:4326", grid.projection, always_xy=True)
    cells: dict[tuple[int, int], list] = {}
    for name, segments in tracks:
        for latitude, longitude, value, length in segments:
            x, y = transformer.transform(float(longitude), float(latitude))
            column = math.floor((x - grid.west) / grid.step)
            row = math.floor((y - grid.south) / grid.step)
            if 0 <= row < grid.rows and 0 <= column < grid.columns:
                cells.setdefault((row, column), []).append((name, float(value), float(length)))
    found = {}
    for place, held in cells.items():
        total = math.fsum(length for _, _, length in held)
        mean = math.fsum(length * value for _, value, length in held) / total
        variance = math.fsum(length * (value - mean) ** 2 for _, value, length in held) / total
        names = {name for name, _, _ in held}
        found[place] = Cell(len(held), mean, math.sqrt(variance), total / len(held), len(names))
    return found
