"""Orientation of the ICESat-2 spacecraft, which decides which of its beams are the strong ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# Codes of ``sc_orient``.
BACKWARD, FORWARD, TRANSITION = 0, 1, 2
# The code where the orientation is not known; the products do not use it.
_UNKNOWN_CODE = -1


@dataclass(frozen=True)
class Orientation:
    """Orientation of the spacecraft during a granule.

    Attributes
    ----------
    codes : tuple of int
        0 backward: the left beams are strong; 1 forward: the right beams are strong; 2 in
        transition: no beam is strong or weak. Empty where the orientation is not known.
    times : tuple of float
        The ``delta_time`` (seconds) from which each code holds, ascending. The first code also
        holds before its time, because a granule lists a change only if it lies within it.
    """

    codes: tuple[int, ...]
    times: tuple[float, ...]

    @classmethod
    def create_unknown(cls) -> Orientation:
        """Create the orientation of a granule that does not state it."""
        return cls((), ())

    @classmethod
    def from_arrays(cls, codes: np.ndarray, times: np.ndarray) -> Orientation:
        """Create an orientation from the arrays ``sc_orient`` and ``sc_orient_time`` of a granule.

        Parameters
        ----------
        codes : ndarray of int, shape (changes,)
        times : ndarray of float64, shape (changes,)

        Returns
        -------
        Orientation
            Unknown if a code is none of the three, or if there are several codes and not a finite
            time for each of them.
        """
        if not codes.size or not np.isin(codes, (BACKWARD, FORWARD, TRANSITION)).all():
            return cls.create_unknown()
        if len(set(codes.tolist())) == 1:
            return cls((int(codes[0]),), (-np.inf,))
        if codes.shape != times.shape or not np.isfinite(times).all():
            return cls.create_unknown()
        order = np.argsort(times, kind="stable")
        return cls(tuple(codes[order].tolist()), tuple(times[order].tolist()))

    @property
    def is_unknown(self) -> bool:
        """Whether the orientation is not known at all."""
        return not self.codes

    def get_codes(self, delta_time: np.ndarray) -> np.ndarray:
        """Get the orientation code at every time.

        Parameters
        ----------
        delta_time : ndarray of float64, shape (segments,)

        Returns
        -------
        ndarray of int, shape (segments,)
            -1 where the orientation is not known.
        """
        if len(self.codes) < 2:
            return np.full(delta_time.shape, self.codes[0] if self.codes else _UNKNOWN_CODE)
        index = np.searchsorted(self.times, delta_time, side="right") - 1
        codes = np.array(self.codes)[np.maximum(index, 0)]
        return np.where(np.isfinite(delta_time), codes, _UNKNOWN_CODE)

    def needs_beam(self, beam: str, beams: str) -> bool:
        """Whether a beam must be read to get the segments of the beams asked for.

        It must be read if some of its segments can be of that kind, or if segments of it are in
        transition and have to be counted.

        Parameters
        ----------
        beam : str
            Such as "gt2l".
        beams : {"strong", "weak", "all"}
        """
        if beams == "all" or self.is_unknown or TRANSITION in self.codes:
            return True
        is_strong = {code == _get_strong_code(beam) for code in self.codes}
        return (beams == "strong") in is_strong

    def split_beam(
        self, beam: str, delta_time: np.ndarray, beam_type: str | None
    ) -> tuple[list[tuple[bool | None, np.ndarray]], int]:
        """Split a beam into the segments where it was strong and those where it was weak.

        Parameters
        ----------
        beam : str
            Such as "gt2l".
        delta_time : ndarray of float64, shape (segments,)
        beam_type : str or None
            ``atlas_beam_type`` of the file, which decides if the orientation is not known at all.

        Returns
        -------
        parts : list of (bool or None, ndarray of bool)
            Each part says whether the beam was strong (None where the file does not say it) and
            has a mask of its segments. No part is empty.
        transition_count : int
            Segments in transition or of unknown orientation; they belong to no part.
        """
        if self.is_unknown:
            strong = {"strong": True, "weak": False}.get(beam_type or "")
            return [(strong, np.ones(delta_time.shape, bool))], 0
        codes = self.get_codes(delta_time)
        is_strong = codes == _get_strong_code(beam)
        is_used = (codes == BACKWARD) | (codes == FORWARD)
        parts: Iterable[tuple[bool | None, np.ndarray]] = (
            (True, is_strong),
            (False, is_used & ~is_strong),
        )
        return [part for part in parts if part[1].any()], int(np.count_nonzero(~is_used))


def _get_strong_code(beam: str) -> int:
    """Get the orientation code at which a beam is strong."""
    return BACKWARD if beam.endswith("l") else FORWARD
