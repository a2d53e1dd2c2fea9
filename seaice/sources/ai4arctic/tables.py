"""Constants of the AI4Arctic sea ice challenge dataset, ready-to-train version.

References
----------
Buus-Hinkler et al. 2022, Ready-To-Train AI4Arctic Sea Ice Challenge Dataset, doi:10.11583/DTU.21316608.
Stokholm et al. 2024, The AutoICE Challenge, The Cryosphere 18, 3471, doi:10.5194/tc-18-3471-2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Number of SAR pixels along one side of a cell of the 2 km grid.
COARSE = 25
PIXEL_METRES = 80.0
# Class of a chart where there are no data.
NO_CLASS = 255

SAR_CHANNELS = ("nersc_sar_primary", "nersc_sar_secondary")
SAR_COUNT = len(SAR_CHANNELS)
AMSR2_CHANNELS = tuple(
    f"btemp_{frequency}{polarisation}"
    for frequency in ("6_9", "7_3", "10_7", "18_7", "23_8", "36_5", "89_0")
    for polarisation in "hv"
)
ERA5_FIELDS = ("u10m_rotated", "v10m_rotated", "t2m", "skt", "tcwv", "tclw")

# Mean and standard deviation over the training scenes: stored = (value - mean) / deviation.
# SAR in dB, incidence angle in degrees, brightness and other temperatures in K, wind in m/s,
# water vapour and liquid water in kg/m2, distance as number of a zone.
SCALING: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "nersc_sar_primary": (-14.5082552, 5.6597459),
        "nersc_sar_secondary": (-24.7012051, 4.7467593),
        "sar_incidenceangle": (33.9980179, 8.3222672),
        "distance_map": (23.6276695, 14.9901863),
        "btemp_6_9h": (148.84698, 61.64847),
        "btemp_6_9v": (203.51945, 38.66643),
        "btemp_7_3h": (149.89897, 61.67544),
        "btemp_7_3v": (204.20534, 38.66622),
        "btemp_10_7h": (153.89169, 60.87525),
        "btemp_10_7v": (208.90409, 36.24495),
        "btemp_18_7h": (165.68026, 52.61787),
        "btemp_18_7v": (218.58683, 28.06039),
        "btemp_23_8h": (182.20894, 42.88716),
        "btemp_23_8v": (226.39647, 22.11758),
        "btemp_36_5h": (185.19472, 38.64444),
        "btemp_36_5v": (228.20590, 17.65265),
        "btemp_89_0h": (212.53746, 22.58497),
        "btemp_89_0v": (241.25747, 16.31096),
        "u10m_rotated": (0.67480, 4.74965),
        "v10m_rotated": (0.60756, 5.19610),
        "t2m": (268.62655, 9.46917),
        "skt": (268.91015, 10.30526),
        "tcwv": (7.74774, 5.26858),
        "tclw": (0.04125, 0.07113),
    }
)

# Class k of SIC is a concentration of 10 k percent; SOD is the stage of development, FLOE the floe size.
SIC_PERCENT = tuple(range(0, 101, 10))
SOD_NAMES = (
    "open water",
    "new ice",
    "young ice",
    "thin first-year ice",
    "thick first-year ice",
    "old ice",
)
FLOE_NAMES = (
    "open water",
    "cake ice",
    "small floe",
    "medium floe",
    "big floe",
    "vast floe",
    "bergs",
)
CLASS_COUNTS: Mapping[str, int] = MappingProxyType(
    {"SIC": len(SIC_PERCENT), "SOD": len(SOD_NAMES), "FLOE": len(FLOE_NAMES)}
)

# The official test scenes, start time and ice service.
TEST_SCENES = (
    "20180124T194759_dmi",
    "20180623T114935_cis",
    "20180707T113313_cis",
    "20180716T110418_cis",
    "20180903T123331_cis",
    "20180917T121813_cis",
    "20190406T102029_cis",
    "20190810T110422_dmi",
    "20191011T131651_cis",
    "20200217T102731_cis",
    "20200319T101935_cis",
    "20200701T114012_cis",
    "20200719T123046_cis",
    "20201013T080448_dmi",
    "20210328T202742_dmi",
    "20210410T201933_dmi",
    "20210430T205436_dmi",
    "20210506T075557_dmi",
    "20210512T214149_cis",
    "20211212T211242_dmi",
)
