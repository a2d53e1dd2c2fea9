"""Reading ICESat-2 sea ice granules: freeboards of ATL10, heights of ATL07.

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
from seaice.sources.icesat2.backends import Engine, HdfFile, RemoteFile, open_granule
from seaice.sources.icesat2.names import GranuleName
from seaice.sources.icesat2.orientation import Orientation
from seaice.sources.icesat2.tracks import EXTRAS, UNKNOWN, Granule, Product, Track

Beams = Literal["strong", "weak", "all"]
BEAMS = ("gt1l", "gt1r", "gt2l", "gt2r", "gt3l", "gt3r")

# GPS seconds, from 1980-01-06, at 2018-01-01T00:00:00 UTC, where delta_time is 0. A constant of
# the mission: a file that holds another number is damaged.
SDP_GPS_EPOCH = 1198800018.0
# GPS seconds at 1993-01-01T00:00:00 UTC, where TAI93 is 0: 4744 days and 8 leap seconds.
_GPS_AT_1993 = 4744 * 86400.0 + 8

_POSITIONS = ("latitude", "longitude", "delta_time")
_FLAGS = ("quality", "surface_type", "podppd", "layer")
# Arrays that a track must have, and the consequence if the file lacks one.
_CONSEQUENCE_IF_ABSENT = {
    "length": "its segments have no weight",
    "uncertainty": "it is not known",
    "quality": "it is not checked",
    "surface_type": "it is not known",
}


@dataclass(frozen=True)
class Layout:
    """Names of the datasets of one product and release, below the group of a beam.

    Attributes
    ----------
    product : str
        "ATL10" or "ATL07".
    group : str
        Group of the segments; every other name is below it.
    positions, heights, statistics : str
        Groups of the positions, of the heights and of the statistics, each empty or with a slash
        at its end.
    value, uncertainty, quality : str
        Names of these datasets.
    """

    product: Product
    group: str
    positions: str
    heights: str
    statistics: str
    value: str
    uncertainty: str
    quality: str

    def list_datasets(self, array: str) -> tuple[str, ...]:
        """List the names under which an array of a track may be stored, the likeliest first."""
        positions, heights, statistics = self.positions, self.heights, self.statistics
        names: dict[str, Sequence[str]] = {
            "latitude": [positions + "latitude"],
            "longitude": [positions + "longitude"],
            "delta_time": [positions + "delta_time"],
            "value": [self.value],
            "length": [heights + "height_segment_length_seg"],
            "uncertainty": [self.uncertainty],
            "quality": [self.quality],
            "surface_type": [heights + "height_segment_type"],
            "podppd": [heights + "podppd_flag", heights + "height_segment_podppd_flag"],
            "layer": [statistics + "layer_flag"],
            "dist2land": [heights + "height_segment_dist2land", positions + "height_segment_dist2land"],
            "concentration": [statistics + f"ice_conc{sensor}" for sensor in ("_amsr2", "_ssmi", "")],
        }
        return tuple(f"{self.group}/{name}" for name in names[array])


LAYOUTS = (
    # ATL10 from release 006 on.
    Layout(
        product="ATL10",
        group="freeboard_segment",
        positions="",
        heights="heights/",
        statistics="heights/",
        value="beam_fb_height",
        uncertainty="beam_fb_unc",
        quality="beam_fb_quality_flag",
    ),
    # ATL10 before release 006.
    Layout(
        product="ATL10",
        group="freeboard_beam_segment",
        positions="beam_freeboard/",
        heights="height_segments/",
        statistics="height_segments/",
        value="beam_freeboard/beam_fb_height",
        uncertainty="beam_freeboard/beam_fb_unc",
        quality="beam_freeboard/beam_fb_quality_flag",
    ),
    Layout(
        product="ATL07",
        group="sea_ice_segments",
        positions="",
        heights="heights/",
        statistics="stats/",
        value="heights/height_segment_height",
        uncertainty="heights/height_segment_surface_error_est",
        quality="heights/height_segment_fit_quality_flag",
    ),
)


def convert_delta_time_to_utc(seconds: np.ndarray | float, epoch: float = SDP_GPS_EPOCH) -> np.ndarray:
    """Convert ``delta_time`` to seconds since 1970-01-01T00:00:00 UTC, 86400 a day.

    Parameters
    ----------
    seconds : array_like of float
        Seconds of the GPS clock since ``epoch``; a negative or non-finite number is unknown.
    epoch : float
        ``atlas_sdp_gps_epoch`` of the file, GPS seconds since 1980-01-06.

    Returns
    -------
    ndarray of float64, same shape
        NaN where the time is unknown.

    Examples
    --------
    >>> float(convert_delta_time_to_utc(0.0))  # 2018-01-01
    1514764800.0
    """
    delta_time = np.asarray(seconds, np.float64)
    delta_time = np.where(np.isfinite(delta_time) & (delta_time >= 0), delta_time, np.nan)
    # The difference is exact, so that there is one rounding, below a tenth of a microsecond.
    return convert_tai93_to_utc(delta_time + (epoch - _GPS_AT_1993))


def read_granule(
    source: Path | RemoteFile,
    *,
    beams: Beams = "strong",
    engine: Engine = "h5py",
    extras: Collection[str] = (),
) -> Granule:
    """Read the segments of a granule of ATL10 (releases 005 and 006) or ATL07.

    The orientation of the spacecraft at the time of each segment (``sc_orient``) decides which
    beams are strong. It is compared with ``atlas_beam_type``, which is one word for the whole
    granule. Where they differ, the orientation is used, because only it can change within a
    granule, and the difference is noted. Without an orientation, ``atlas_beam_type`` decides.

    Parameters
    ----------
    source : Path or CloudGranule
        A file, or a granule on S3.
    beams : {"strong", "weak", "all"}
        The beams to read.
    engine : {"h5py", "h5coro"}
        The library that reads the file. Both give the same values; h5coro cannot read
        ``atlas_beam_type``, so that nothing is compared.
    extras : collection of str
        Arrays of :data:`~seaice.sources.icesat2.tracks.EXTRAS` to read besides the usual ones.
        Those that the filters of a selection need are in its attribute ``extras``.

    Returns
    -------
    Granule
        Without tracks if the granule has segments, but none of the beams asked for.

    Raises
    ------
    InputError
        If the file cannot be read, is of another product, or no beam of it has segments.
    """
    if beams not in get_args(Beams):
        raise InputError(f"expected beams to be strong, weak or all, found {beams!r}")
    unknown_extras = set(extras) - set(EXTRAS)
    if unknown_extras:
        raise InputError(f"expected extras out of {', '.join(EXTRAS)}, found {sorted(unknown_extras)}")
    if isinstance(source, Path):
        with explain_damage(source, "HDF5"), open_granule(source, engine) as file:
            return _GranuleReader(source, file, beams, tuple(extras)).read()
    try:
        with open_granule(source, engine) as file:
            return _GranuleReader(Path(source.url), file, beams, tuple(extras)).read()
    except InputError:
        raise
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"the granule cannot be read ({reason}): {source.url}") from error


class _GranuleReader:
    """Reads the segments of one open granule and collects notes on what it lacks."""

    def __init__(self, path: Path, file: HdfFile, beams: Beams, extras: tuple[str, ...]) -> None:
        self._path, self._file, self._beams, self._extras = path, file, beams, extras
        self._name = GranuleName.parse(path.name.removesuffix(".part"))
        self._notes: list[str] = []
        self._transition_count = 0

    def read(self) -> Granule:
        """Read the granule."""
        group_names = self._file.list_members("/") or frozenset()
        layouts = {beam: self._recognise_layout(beam, group_names) for beam in BEAMS}
        beam_layouts = [layout for layout in layouts.values() if layout is not None]
        if not beam_layouts:
            raise InputError(self._explain_no_segments(group_names))
        orientation = self._read_orientation()
        epoch = self._read_epoch()
        tracks: list[Track] = []
        for beam, layout in layouts.items():
            if not orientation.needs_beam(beam, self._beams):
                continue
            if layout is None:
                absent = f"{beam_layouts[0].group} is" if beam in group_names else "the beam is"
                self._notes.append(f"{beam}: {absent} not there or has no positions; it is left out")
            else:
                tracks += self._read_beam(beam, layout, orientation, epoch)
        return Granule(
            name=self._granule_name,
            path=self._path,
            product=beam_layouts[0].product,
            release=self._read_release(),
            tracks=tuple(tracks),
            notes=tuple(self._notes),
            transition_count=self._transition_count,
        )

    def _recognise_layout(self, beam: str, group_names: Collection[str]) -> Layout | None:
        """Recognise the layout of a beam; None if the beam has no segments with positions."""
        if beam not in group_names:
            return None
        subgroups = self._file.list_members(beam) or frozenset()
        for layout in LAYOUTS:
            if layout.group in subgroups:
                latitude = layout.list_datasets("latitude")[0]
                names = self._file.list_members(f"{beam}/{latitude.rpartition('/')[0]}")
                if set(_POSITIONS) <= (names or frozenset()):
                    return layout
        return None

    def _explain_no_segments(self, group_names: Collection[str]) -> str:
        """Explain in one line why a file without segments cannot be read."""
        product = self._file.read_text("/", "short_name") or (self._name.product if self._name else "")
        if product in get_args(Product):
            return f"expected segments, found none in any beam: {self._path}"
        content = product or ", ".join(sorted(group_names)[:8]) or "nothing"
        return f"expected an ATL10 or ATL07 granule, found {content}: {self._path}"

    def _read_beam(
        self, beam: str, layout: Layout, orientation: Orientation, epoch: float
    ) -> list[Track]:
        """Read the tracks of a beam that are of the kind asked for: strong, weak or all."""
        arrays = self._read_positions(beam, layout)
        count = len(arrays["latitude"])
        if not count:
            self._notes.append(f"{beam}: {layout.group} has no segment; it is left out")
            return []
        beam_type = self._file.read_text(beam, "atlas_beam_type")
        parts, transition_count = orientation.split_beam(beam, arrays["delta_time"], beam_type)
        if transition_count:
            self._transition_count += transition_count
            self._notes.append(
                f"{beam}: {transition_count} of {count} segments are left out, the spacecraft was "
                "turning or its orientation is not known"
            )
        self._compare_beam_type(beam, parts, beam_type)
        used_parts = [
            (strong, mask)
            for strong, mask in parts
            if self._beams == "all" or strong is (self._beams == "strong")
        ]
        if not used_parts or not self._add_measurements(beam, layout, arrays):
            return []
        arrays["time"] = self._convert_times(arrays.pop("delta_time"), epoch)
        return [self._cut_track(beam, strong, mask, arrays) for strong, mask in used_parts]

    def _compare_beam_type(
        self, beam: str, parts: Iterable[tuple[bool | None, np.ndarray]], beam_type: str | None
    ) -> None:
        """Note each part of a beam whose orientation contradicts ``atlas_beam_type``."""
        strong_by_type = {"strong": True, "weak": False}.get(beam_type or "")
        if strong_by_type is None:
            return
        for strong, mask in parts:
            if strong is not strong_by_type:
                self._notes.append(
                    f"{beam}: {'strong' if strong else 'weak'} by the orientation and {beam_type} by "
                    f"atlas_beam_type for {np.count_nonzero(mask)} segments; the orientation is used"
                )

    def _read_positions(self, beam: str, layout: Layout) -> dict[str, np.ndarray]:
        """Read latitude, longitude (-180..180) and ``delta_time`` of a beam."""
        arrays: dict[str, np.ndarray] = {}
        for name in _POSITIONS:
            values, fill_value = self._file.read(f"{beam}/{layout.list_datasets(name)[0]}")
            arrays[name] = _convert_to_floats(values, fill_value, np.float64)
        shapes = {values.shape for values in arrays.values()}
        if len(shapes) != 1 or len(shapes.pop()) != 1:
            raise ValueError(f"the positions and times of {beam} do not have one length")
        longitude = arrays["longitude"]
        east = longitude > 180
        if east.any():
            longitude[east & (longitude <= 360)] -= 360
        return arrays

    def _add_measurements(self, beam: str, layout: Layout, arrays: dict[str, np.ndarray]) -> bool:
        """Read the arrays besides the positions; return False if the beam has no values."""
        count = len(arrays["latitude"])
        for name in ("value", *_CONSEQUENCE_IF_ABSENT, *self._extras):
            dtype = np.int8 if name in _FLAGS else np.float32
            datasets = layout.list_datasets(name)
            values = self._read_first(beam, datasets, count, dtype)
            if values is not None:
                arrays[name] = values
            elif name == "value":
                self._notes.append(f"{beam}: {datasets[0]} is not there; the beam is left out")
                return False
            elif name in self._extras:
                self._notes.append(
                    f"{beam}: {datasets[0]} is not there; no segment passes a filter on it"
                )
            else:
                self._notes.append(f"{beam}: {datasets[0]} is not there; {_CONSEQUENCE_IF_ABSENT[name]}")
                arrays[name] = np.full(count, UNKNOWN if dtype is np.int8 else np.nan, dtype)
        return True

    def _read_first(
        self, beam: str, datasets: Iterable[str], count: int, dtype: type
    ) -> np.ndarray | None:
        """Read the first of several datasets that the beam has, as float32 or int8; None without."""
        for dataset in datasets:
            name = f"{beam}/{dataset}"
            try:
                values, fill_value = self._file.read(name)
            except KeyError:
                continue
            if values.shape != (count,) or values.dtype.kind not in "iuf":
                raise ValueError(f"{name} is {values.dtype} {values.shape}, not {count} numbers")
            if dtype is np.float32:
                return _convert_to_floats(values, fill_value, np.float32)
            if values.dtype.kind == "f" or (np.abs(values.astype(np.int64)) > 127).any():
                raise ValueError(f"{name} holds numbers that are not flags")
            return values.astype(np.int8)
        return None

    def _convert_times(self, delta_time: np.ndarray, epoch: float) -> np.ndarray:
        """Convert ``delta_time`` to UTC; NaN if more than a day away from the start in the name.

        Damage makes absurd times, which would put segments into other days.
        """
        seconds = convert_delta_time_to_utc(delta_time, epoch)
        if self._name is not None:
            is_far = np.abs(seconds - self._name.start.timestamp()) > 86400
            seconds[is_far] = np.nan
        return seconds

    def _cut_track(
        self, beam: str, strong: bool | None, mask: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> Track:
        """Cut the segments of a mask out of the arrays of a beam."""
        parts = arrays if mask.all() else {name: values[mask] for name, values in arrays.items()}
        return Track(granule=self._granule_name, beam=beam, strong=strong, **parts)

    def _read_orientation(self) -> Orientation:
        """Read the orientation of the spacecraft; note it if it is absent or impossible."""
        if "sc_orient" not in (self._file.list_members("orbit_info") or frozenset()):
            self._notes.append(
                "orbit_info/sc_orient is not there; atlas_beam_type says which beams are strong"
            )
            return Orientation.create_unknown()
        codes = np.ravel(self._file.read("orbit_info/sc_orient")[0])
        try:
            times = np.ravel(self._file.read("orbit_info/sc_orient_time")[0])
        except KeyError:
            times = np.full(codes.size, np.nan)
        orientation = Orientation.from_arrays(codes, times)
        if orientation.is_unknown:
            self._notes.append(
                "orbit_info/sc_orient holds impossible values; atlas_beam_type says which beams are "
                "strong"
            )
        return orientation

    def _read_epoch(self) -> float:
        """Read the epoch of ``delta_time``; the constant of the mission if it is absent or differs."""
        try:
            epoch = float(np.ravel(self._file.read("ancillary_data/atlas_sdp_gps_epoch")[0])[0])
        except KeyError:
            epoch = np.nan
        if epoch != SDP_GPS_EPOCH:
            state = "is not there" if np.isnan(epoch) else f"is {epoch:.17g}"
            self._notes.append(
                f"ancillary_data/atlas_sdp_gps_epoch {state}; times are counted from {SDP_GPS_EPOCH:.1f}"
            )
        return SDP_GPS_EPOCH

    def _read_release(self) -> str:
        """Read the release from the file, or take it from the name; empty if neither has it."""
        try:
            text = bytes(np.ravel(self._file.read("ancillary_data/release")[0])[0])
        except (KeyError, TypeError):
            return self._name.release if self._name else ""
        return text.decode("ascii", "replace").strip("\x00 ")

    @property
    def _granule_name(self) -> str:
        return self._name.name if self._name else self._path.name.removesuffix(".h5")


def _convert_to_floats(values: np.ndarray, fill_value: float | None, dtype: type) -> np.ndarray:
    """Convert to float32 or float64, with NaN for the fill value and for non-finite numbers."""
    missing = ~np.isfinite(values)
    if fill_value is not None:
        # Compared in the stored type, before a conversion can change the last bits.
        missing |= values == np.asarray(fill_value, values.dtype)
    floats: np.ndarray = np.array(values, dtype)
    floats[missing] = np.nan
    return floats
