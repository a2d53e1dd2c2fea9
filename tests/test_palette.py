"""Colours that can be told apart, with deficiencies of colour vision too."""

import itertools

import numpy as np
import pytest

from seaice.drawing import palette
from seaice.scoring.figure_style import LINE_COLOURS
from seaice.segmentation.figures.panels import AGREEMENT
from seaice.segmentation.figures.panels import SURFACE as SCENE

# Full deficiencies, of linear red, green and blue (Machado et al. 2009, doi:10.1109/TVCG.2009.113).
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ],
    "deuteranopia": [
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ],
    "tritanopia": [
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ],
}
TO_XYZ = np.array(
    [
        (0.4124564, 0.3575761, 0.1804375),
        (0.2126729, 0.7151522, 0.0721750),
        (0.0193339, 0.1191920, 0.9503041),
    ]
)


def cielab(colour, vision):
    """CIELAB (1976, white of sRGB) of a colour #rrggbb as it is seen."""
    coded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(VISION[vision]) @ linear, 0, 1)
    share = TO_XYZ @ seen / TO_XYZ.sum(axis=1)
    cube = (6 / 29) ** 3
    x, y, z = np.where(share > cube, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_published_values_of_cielab():
    # Lindbloom's calculator, sRGB, D65.
    np.testing.assert_allclose(cielab("#ff0000", "normal"), [53.24, 80.09, 67.20], atol=0.02)
    np.testing.assert_allclose(cielab("#ffffff", "normal"), [100, 0, 0], atol=0.01)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    ("colours", "least"),
    [
        ([swatch.colour for swatch in palette.SURFACE.values()], 19.5),
        ([swatch.colour for swatch in palette.FILL.values()], 13),
        ([palette.FILL["observed"].colour, palette.NO_VALUE, palette.LAND, *palette.SPARE], 12.5),
        ([swatch.colour for swatch in SCENE.values()], 13),
        ([swatch.colour for swatch in AGREEMENT.values()], 12.5),
        (LINE_COLOURS, 15.5),
    ],
    ids=["surface", "fill flags", "other methods", "scene", "agreement", "lines"],
)
def test_classes_can_be_told_apart(colours, least, vision):
    for one, other in itertools.combinations(colours, 2):
        difference = np.linalg.norm(cielab(one, vision) - cielab(other, vision))
        assert difference >= least, f"{one} {other}: {difference:.1f}"


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    "name", ["ICE", "RATIO", "FREEBOARD", "TEMPERATURE", "SPREAD", "COUNT", "HOURS"]
)
def test_scales_rise_or_fall_in_lightness(name, vision):
    lightness = [cielab(colour, vision)[0] for colour in getattr(palette, name)]
    steps = np.diff(lightness)
    assert (steps > 3).all() or (steps < -3).all()
