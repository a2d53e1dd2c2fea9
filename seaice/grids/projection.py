"""Map projections: read from the attributes of a file in every spelling, described, and compared."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError

if TYPE_CHECKING:
    from pyproj import CRS

# Latitude and longitude without a datum are taken for those of WGS 84.
LATITUDE_LONGITUDE = "EPSG:4326"

# Codes under which a projection is named if its numbers are theirs: the grids of NSIDC on Hughes 1980
# and on WGS 84, EASE-Grid 1 and 2, latitude and longitude.
_USUAL_CODES = (3411, 3412, 3413, 3976, 6931, 6932, 6933, 3408, 3409, 3410, 4326)

# Attributes of a grid mapping that hold a whole description each, the most reliable first. What is left,
# the parameters of CF, is used last: files of NSIDC say straight_vertical_longitude_from_pole = 135.
_WKT_NAMES = ("crs_wkt", "spatial_ref", "wkt")
_CODE_NAMES = ("srid", "epsg_code", "epsg", "EPSG", "EPSG_code")
_PROJ_NAMES = ("proj4text", "proj4", "proj4_string", "proj4_params", "proj_string")
_CF_NAME = "grid_mapping_name"


def is_grid_mapping(attributes: Mapping[str, Any]) -> bool:
    """Whether attributes are those of a grid-mapping variable, in any spelling."""
    return not {_CF_NAME, *_WKT_NAMES, *_CODE_NAMES, *_PROJ_NAMES}.isdisjoint(attributes)


def list_projections(attributes: Mapping[str, Any]) -> Iterator[str]:
    """List the projections that the attributes of a grid mapping describe, the most reliable first.

    Yields
    ------
    str
        The EPSG code, or WKT where there is none. The same projection may come several times.

    Raises
    ------
    InputError
        If none of the descriptions is one.
    """
    reasons: list[str] = []
    count = 0
    for names in (_WKT_NAMES, _CODE_NAMES, _PROJ_NAMES):
        for name in names:
            if name in attributes:
                text = str(attributes[name])
                code = re.search(r"\d{4,6}(?=\D*$)", text) if names is _CODE_NAMES else None
                try:
                    yield _search_projection(f"EPSG:{code[0]}" if code else text)
                    count += 1
                except InputError as error:
                    reasons.append(f"{name}: {error}")
    if _CF_NAME in attributes:
        values = {k: v for k, v in attributes.items() if k not in (*_WKT_NAMES, "long_name")}
        items = ((name, tuple(np.atleast_1d(value).tolist())) for name, value in values.items())
        try:
            yield _search_cf_projection(tuple(sorted(items)))
            count += 1
        except InputError as error:
            reasons.append(str(error))
    if not count:
        reason = "; ".join(reasons) or "it has none of the attributes of CF, nor WKT, EPSG code or proj4"
        raise InputError(f"the grid-mapping attributes describe no projection: {reason}")


@lru_cache(maxsize=32)
def _search_projection(text: str) -> str:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return _name_projection(CRS.from_user_input(text))
    except CRSError as error:
        raise InputError(" ".join(str(error).split())[:150]) from None


@lru_cache(maxsize=32)
def _search_cf_projection(values: tuple[tuple[str, tuple[Any, ...]], ...]) -> str:
    """Search the projection of CF attributes; PROJ takes 0.2 s where they name no datum."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    attributes = {name: value[0] if len(value) == 1 else list(value) for name, value in values}
    if "longitude_of_projection_origin" in attributes:
        meridian = attributes["longitude_of_projection_origin"]
        attributes.setdefault("straight_vertical_longitude_from_pole", meridian)
    try:
        return _name_projection(CRS.from_cf(attributes))
    except KeyError as error:
        raise InputError(f"no attribute {error}") from None
    except CRSError as error:
        raise InputError(" ".join(str(error).split())[:150]) from None


def _name_projection(crs: CRS) -> str:
    """Name a projection by its EPSG code, or by WKT where it has none; see :func:`check_projection`."""
    crs = _convert_units(crs)
    check_projection(crs)
    attributes = _describe(crs)
    for code in _USUAL_CODES:
        if _have_same_parameters(describe_projection(f"EPSG:{code}"), attributes):
            return f"EPSG:{code}"
    epsg = crs.to_epsg(min_confidence=70)
    return f"EPSG:{epsg}" if epsg else str(crs.to_wkt())


def _convert_units(crs: CRS) -> CRS:
    """Return a projection in kilometres or feet as the same in metres, as coordinates are converted."""
    from pyproj import CRS

    if not crs.is_projected or all(axis.unit_conversion_factor == 1 for axis in crs.axis_info):
        return crs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a datum has no name in PROJ's own format
        numbers = {k: v for k, v in crs.to_dict().items() if k != "to_meter"}
    return CRS.from_dict({**numbers, "units": "m"})


def check_projection(crs: CRS) -> None:
    """Refuse what is neither a map projection in metres nor latitude and longitude in degrees.

    Raises
    ------
    InputError
        The message names the kind of the coordinates.
    """
    units = {axis.unit_name for axis in crs.axis_info[:2]}
    if crs.is_projected and units <= {"metre"}:
        return
    # Turned latitudes and longitudes are neither places on the Earth nor equal areas by latitude.
    if crs.is_geographic and units <= {"degree"} and not crs.is_derived:
        return
    raise InputError(
        f"expected a map projection in metres, or latitude and longitude in degrees, found "
        f"{crs.type_name} in {' and '.join(sorted(units))}: {crs.name}"
    )


def _have_same_parameters(registered: Mapping[str, Any], read: Mapping[str, Any]) -> bool:
    """Whether the numbers of two projections agree, whatever their names are."""
    if registered.get(_CF_NAME) != read.get(_CF_NAME):
        return False
    missing_in_cf = {"latitude_of_projection_origin"} - read.keys()
    return all(
        np.isclose(value, read.get(name, np.nan), rtol=1e-9, atol=1e-9)
        for name, value in registered.items()
        if isinstance(value, float) and name not in missing_in_cf
    )


@lru_cache(maxsize=32)
def read_crs(projection: str) -> CRS:
    """Read a projection in any form of :meth:`pyproj.CRS.from_user_input`."""
    from pyproj import CRS

    return CRS.from_user_input(projection)


@lru_cache(maxsize=32)
def describe_projection(projection: str) -> Mapping[str, Any]:
    """Describe a projection by its CF attributes."""
    return _describe(read_crs(projection))


def _describe(crs: CRS) -> dict[str, Any]:
    from pyproj import CRS

    attributes: dict[str, Any] = crs.to_cf()
    # pyproj describes no method for spheres alone, such as that of EASE-Grid 1.
    text, count = re.subn(
        r'METHOD\["([^"]*) \(Spherical\)",ID\["EPSG",\d+\]\]', r'METHOD["\1"]', crs.to_wkt()
    )
    if count:
        attributes = {**CRS.from_wkt(text).to_cf(), **attributes}
    if attributes.get(_CF_NAME) == "polar_stereographic":
        # CF requires it and pyproj leaves it out for variant B (a standard parallel).
        parallel = attributes.get("standard_parallel", 90.0)
        attributes.setdefault("latitude_of_projection_origin", float(np.copysign(90.0, parallel)))
    return attributes


def is_latitude_longitude(projection: str) -> bool:
    """Whether x and y are longitude and latitude."""
    return bool(describe_projection(projection).get(_CF_NAME) == "latitude_longitude")


def lie_alike(first: str, second: str) -> bool:
    """Whether two projections put the same numbers at the same place, ellipsoids aside."""
    attributes, expected_attributes = describe_projection(first), describe_projection(second)
    if attributes.get(_CF_NAME) != expected_attributes.get(_CF_NAME):
        return False
    for name in (
        "straight_vertical_longitude_from_pole",
        "longitude_of_projection_origin",
        "latitude_of_projection_origin",
        "standard_parallel",
    ):
        degrees, expected = attributes.get(name), expected_attributes.get(name)
        if isinstance(degrees, int | float) and isinstance(expected, int | float):
            difference = abs(degrees - expected) % 360
            if min(difference, 360 - difference) > 0.01:
                return False
    return all(
        abs(float(attributes.get(name, 0)) - float(expected_attributes.get(name, 0))) < 1
        for name in ("false_easting", "false_northing")
    )
