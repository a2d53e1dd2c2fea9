"""ICESat-2 sea ice granules (ATL10 freeboards, ATL07 heights): names, beams, times, segments.

References
----------
Kwok et al., ATLAS/ICESat-2 L3A Sea Ice Freeboard, doi:10.5067/ATLAS/ATL10.006, and Sea Ice
Height, doi:10.5067/ATLAS/ATL07.006.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from seaice import InputError
from seaice.leap_seconds import convert_tai93_to_utc
from seaice.open_file import DAMAGE, explain_damage
from seaice.sources.icesat2.backends import (
    Engine,
    HdfFile,
    RemoteFile,
    open_granule,
)
from seaice.sources.icesat2.names import (
    GranuleName,
    list_granules,
)
from seaice.sources.icesat2.orientation import Orientation
from seaice.sources.icesat2.tracks import (
    EXTRAS,
    UNKNOWN,
    Granule,
    Preset,
    Product,
    Selection,
    Surface,
    Track,
    select,
)

__all__ = [
    "BEAMS",
    "EXTRAS",
    "UNKNOWN",
    "Beams",
    "Engine",
    "Granule",
    "GranuleName",
    "Preset",
    "Product",
    "Selection",
    "Surface",
    "Track",
    "convert_delta_time",
    "list_granules",
    "read_granule",
    "select",
]

Beams = Literal["strong", "weak", "all"]
BEAMS = ("gt1l", "gt1r", "gt2l", "gt2r", "gt3l", "gt3r")

# GPS seconds, from 1980-01-06, at 2018-01-01T00:00:00 UTC, where delta_time is 0.
SDP_GPS_EPOCH = 1198800018.0
# GPS seconds at 1993-01-01T00:00:00 UTC, where TAI93 is 0: 4744 days and 8 leap seconds.
_GPS_AT_1993 = 4744 * 86400.0 + 8


def convert_delta_time(seconds: np.ndarray | float, epoch: float = SDP_GPS_EPOCH) -> np.ndarray:
    """Seconds since 1970-01-01T00:00:00 UTC, 86400 a day, from ``delta_time``.

    Parameters
    ----------
    seconds : array_like of float
        Of the GPS clock since ``epoch``; negative or not finite: unknown.
    epoch : float
        ``atlas_sdp_gps_epoch``, GPS seconds since 1980-01-06.

    Returns
    -------
    ndarray of float64
        NaN where unknown.

    Examples
    --------
    >>> float(convert_delta_time(0.0))  # 2018-01-01
    1514764800.0
    """
    given = np.asarray(seconds, np.float64)
    known = np.where(np.isfinite(given) & (given >= 0), given, np.nan)
    # The difference is exact, so that there is one rounding, below a tenth of a microsecond.
    return convert_tai93_to_utc(known + (epoch - _GPS_AT_1993))


def read_granule(
    source: Path | RemoteFile,
    *,
    beams: Beams = "strong",
    engine: Engine = "h5py",
    extras: Collection[str] = (),
) -> Granule:
    """Read the segments of a granule of ATL10 (releases 005 and 006) or ATL07.

    Which beams are strong follows from the orientation of the spacecraft at the time of each
    segment (``sc_orient``). It is compared with ``atlas_beam_type``, which is one word for the
    whole granule; where they differ the orientation is believed, as only it can change within a
    granule, and the difference is reported. Without orientation the word decides.

    Parameters
    ----------
    source : Path or CloudGranule
    beams : {"strong", "weak", "all"}
    engine : {"h5py", "h5coro"}
        The same values; h5coro cannot read ``atlas_beam_type`` and compares nothing.
    extras : collection of str
        Arrays to read besides the usual ones, out of :data:`EXTRAS`; those that filters need are
        :attr:`Selection.extras`.

    Returns
    -------
    Granule
        Without tracks if it has segments, but none of the wanted beams.

    Raises
    ------
    InputError
        If the file cannot be read, is of another product, or no beam of it has segments.
    """
    if beams not in get_args(Beams):
        raise InputError(f"expected beams to be strong, weak or all, found {beams!r}")
    unknown = set(extras) - set(EXTRAS)
    if unknown:
        raise InputError(f"expected extras out of {', '.join(EXTRAS)}, found {sorted(unknown)}")
    if isinstance(source, Path):
        with explain_damage(source, "HDF5"), open_granule(source, engine) as file:
            return _Reading(source, file, beams, tuple(extras)).granule()
    try:
        with open_granule(source, engine) as file:
            return _Reading(Path(source.url), file, beams, tuple(extras)).granule()
    except InputError:
        raise
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"the granule cannot be read ({reason}): {source.url}") from error


_MEANING = {
    "length": "its segments have no weight",
    "uncertainty": "it is not known",
    "quality": "it is not checked",
    "surface_type": "it is not known",
}


class _Reading:
    """An open granule."""

    def __init__(self, path: Path, file: HdfFile, beams: Beams, extras: tuple[str, ...]) -> None:
        self._path, self._file, self._beams, self._extras = path, file, beams, extras
        self._name = GranuleName.parse(path.name.removesuffix(".part"))
        self._skipped: list[str] = []
        self._in_transition = 0

    def granule(self) -> Granule:
        present = self._file.members("/") or frozenset()
        layouts = {beam: self._layout(beam, present) for beam in BEAMS}
        known = [layout for layout in layouts.values() if layout is not None]
        if not known:
            raise InputError(self._no_segments(present))
        orientation = self._orientation()
        epoch = self._epoch()
        tracks: list[Track] = []
        for beam, layout in layouts.items():
            if not orientation.may_be(beam, self._beams):
                continue
            if layout is None:
                self._skipped.append(self._absence(beam, beam in present, known[0]))
            else:
                tracks += self._tracks(beam, layout, orientation, epoch)
        return Granule(
            name=self._own_name(),
            path=self._path,
            product=known[0].product,
            release=self._release(),
            tracks=tuple(tracks),
            skipped=tuple(self._skipped),
            in_transition=self._in_transition,
        )

    def _layout(self, beam: str, present: Iterable[str]) -> Layout | None:
        """Of a beam that has segments."""
        below = (self._file.members(beam) if beam in present else None) or frozenset()
        for layout in LAYOUTS:
            if layout.group in below:
                names = self._file.members(f"{beam}/{layout.names('latitude')[0].rpartition('/')[0]}")
                if {"latitude", "longitude", "delta_time"} <= (names or frozenset()):
                    return layout
        return None

    def _no_segments(self, present: Collection[str]) -> str:
        product = self._file.text("/", "short_name") or (self._name.product if self._name else "")
        if product in get_args(Product):
            return f"expected segments, found none in any beam: {self._path}"
        found = product or ", ".join(sorted(present)[:8]) or "nothing"
        return f"expected an ATL10 or ATL07 granule, found {found}: {self._path}"

    def _absence(self, beam: str, has_group: bool, layout: Layout) -> str:
        what = f"{layout.group} is" if has_group else "the beam is"
        return f"{beam}: {what} not there or has no positions; it is left out"

    def _tracks(self, beam: str, layout: Layout, orientation: Orientation, epoch: float) -> list[Track]:
        """The parts of a beam that are of the wanted kind."""
        arrays = self._positions(beam, layout)
        count = len(arrays["latitude"])
        if not count:
            self._skipped.append(f"{beam}: {layout.group} has no segment; it is left out")
            return []
        word = self._file.text(beam, "atlas_beam_type")
        parts, unused = orientation.parts(beam, arrays["delta_time"], word)
        if unused:
            self._in_transition += unused
            self._skipped.append(
                f"{beam}: {unused} of {count} segments are left out, the spacecraft was turning or "
                "its orientation is not known"
            )
        self._compare(beam, parts, word)
        wanted = [
            (strong, mask)
            for strong, mask in parts
            if self._beams == "all" or strong is (self._beams == "strong")
        ]
        if not wanted or not self._add_rest(beam, layout, arrays):
            return []
        seconds = arrays.pop("delta_time")
        arrays["time"] = self._times(seconds, epoch)
        return [self._track(beam, strong, mask, arrays) for strong, mask in wanted]

    def _compare(
        self, beam: str, parts: Iterable[tuple[bool | None, np.ndarray]], word: str | None
    ) -> None:
        for strong, mask in parts:
            said = {"strong": True, "weak": False}.get(word or "")
            if said is not None and strong is not said:
                self._skipped.append(
                    f"{beam}: {'strong' if strong else 'weak'} by the orientation and {word} by "
                    f"atlas_beam_type for {np.count_nonzero(mask)} segments; the orientation is believed"
                )

    def _positions(self, beam: str, layout: Layout) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for field in ("latitude", "longitude", "delta_time"):
            values, fill = self._file.read(f"{beam}/{layout.names(field)[0]}")
            found[field] = _floats(values, fill, np.float64)
        shapes = {values.shape for values in found.values()}
        if len(shapes) != 1 or len(shapes.pop()) != 1:
            raise ValueError(f"the positions and times of {beam} do not have one length")
        longitude = found["longitude"]
        east = longitude > 180
        if east.any():
            longitude[east & (longitude <= 360)] -= 360
        return found

    def _add_rest(self, beam: str, layout: Layout, arrays: dict[str, np.ndarray]) -> bool:
        """Read what is not a position; False where there is no value."""
        count = len(arrays["latitude"])
        for field in ("value", "length", "uncertainty", "quality", "surface_type", *self._extras):
            kind = np.int8 if field in ("quality", "surface_type", "podppd", "layer") else np.float32
            values = self._values(f"{beam}/", layout.names(field), count, kind)
            if values is not None:
                arrays[field] = values
                continue
            name = layout.names(field)[0]
            if field == "value":
                self._skipped.append(f"{beam}: {name} is not there; the beam is left out")
                return False
            if field in self._extras:
                self._skipped.append(f"{beam}: {name} is not there; no filter on it lets a segment pass")
                continue
            self._skipped.append(f"{beam}: {name} is not there; {_MEANING[field]}")
            arrays[field] = np.full(count, UNKNOWN if kind is np.int8 else np.nan, kind)
        return True

    def _values(self, beam: str, names: Iterable[str], count: int, kind: type) -> np.ndarray | None:
        for name in names:
            try:
                values, fill = self._file.read(beam + name)
            except KeyError:
                continue
            if values.shape != (count,) or values.dtype.kind not in "iuf":
                raise ValueError(f"{beam}{name} is {values.dtype} {values.shape}, not {count} numbers")
            if kind is np.float32:
                return _floats(values, fill, np.float32)
            if values.dtype.kind == "f" or (np.abs(values.astype(np.int64)) > 127).any():
                raise ValueError(f"{beam}{name} holds something that is no flag")
            return values.astype(np.int8)
        return None

    def _times(self, delta_time: np.ndarray, epoch: float) -> np.ndarray:
        """UTC; NaN more than a day away from the name's: damage makes absurd times."""
        seconds = convert_delta_time(delta_time, epoch)
        if self._name is not None:
            away = np.abs(seconds - self._name.start.timestamp()) > 86400
            seconds[away] = np.nan
        return seconds

    def _track(
        self, beam: str, strong: bool | None, mask: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> Track:
        parts = arrays if mask.all() else {name: values[mask] for name, values in arrays.items()}
        return Track(granule=self._own_name(), beam=beam, strong=strong, **parts)

    def _orientation(self) -> Orientation:
        if not {"sc_orient"} <= (self._file.members("orbit_info") or frozenset()):
            self._skipped.append(
                "orbit_info/sc_orient is not there; atlas_beam_type says which beams are strong"
            )
            return Orientation.unknown()
        codes = np.ravel(self._file.read("orbit_info/sc_orient")[0])
        try:
            times = np.ravel(self._file.read("orbit_info/sc_orient_time")[0])
        except KeyError:
            times = np.full(codes.size, np.nan)
        found = Orientation.of(codes, times)
        if found.is_unknown:
            self._skipped.append(
                "orbit_info/sc_orient makes no sense; atlas_beam_type says which beams are strong"
            )
        return found

    def _epoch(self) -> float:
        try:
            epoch = float(np.ravel(self._file.read("ancillary_data/atlas_sdp_gps_epoch")[0])[0])
        except KeyError:
            epoch = np.nan
        if epoch == SDP_GPS_EPOCH:
            return epoch
        said = "is not there" if np.isnan(epoch) else f"is {epoch:.17g}"
        # A constant of the mission: anything else is damage.
        self._skipped.append(
            f"ancillary_data/atlas_sdp_gps_epoch {said}; times are counted from {SDP_GPS_EPOCH:.1f}"
        )
        return SDP_GPS_EPOCH

    def _release(self) -> str:
        try:
            text = bytes(np.ravel(self._file.read("ancillary_data/release")[0])[0])
        except (KeyError, TypeError):
            return self._name.release if self._name else ""
        return text.decode("ascii", "replace").strip("\x00 ")

    def _own_name(self) -> str:
        return self._name.name if self._name else self._path.name.removesuffix(".h5")


def _floats(values: np.ndarray, fill: float | None, kind: type) -> np.ndarray:
    """As numbers of a kind; NaN in the place of the fill value and of what is not finite."""
    missing = ~np.isfinite(values)
    if fill is not None:
        missing |= values == np.asarray(fill, values.dtype)
    found: np.ndarray = np.array(values, kind)
    found[missing] = np.nan
    return found


@dataclass(frozen=True)
class Layout:
    """Where a product and release keeps what is needed: names below the group of a beam.

    Attributes
    ----------
    product : str
    group : str
        Of the segments.
    own, heights, stats : str
        Groups below that one, with a slash behind: of positions, of heights, of flags.
    value, uncertainty, quality : str
        Names below ``group``.
    """

    product: Product
    group: str
    own: str
    heights: str
    stats: str
    value: str
    uncertainty: str
    quality: str

    def names(self, field: str) -> tuple[str, ...]:
        """Places of an array, the likeliest first."""
        own, heights, stats = self.own, self.heights, self.stats
        found: dict[str, Sequence[str]] = {
            "latitude": [own + "latitude"],
            "longitude": [own + "longitude"],
            "delta_time": [own + "delta_time"],
            "value": [self.value],
            "length": [heights + "height_segment_length_seg"],
            "uncertainty": [self.uncertainty],
            "quality": [self.quality],
            "surface_type": [heights + "height_segment_type"],
            "podppd": [heights + "podppd_flag", heights + "height_segment_podppd_flag"],
            "layer": [stats + "layer_flag"],
            "dist2land": [heights + "height_segment_dist2land", own + "height_segment_dist2land"],
            "concentration": [stats + f"ice_conc{which}" for which in ("_amsr2", "_ssmi", "")],
        }
        return tuple(f"{self.group}/{name}" for name in found[field])


def _freeboards(group: str, own: str, heights: str) -> Layout:
    names = (f"{own}beam_fb_{what}" for what in ("height", "unc", "quality_flag"))
    return Layout("ATL10", group, own, heights, heights, *names)


LAYOUTS = (
    _freeboards("freeboard_segment", "", "heights/"),
    _freeboards("freeboard_beam_segment", "beam_freeboard/", "height_segments/"),
    Layout(
        "ATL07",
        "sea_ice_segments",
        "",
        "heights/",
        "stats/",
        "heights/height_segment_height",
        "heights/height_segment_surface_error_est",
        "heights/height_segment_fit_quality_flag",
    ),
)
