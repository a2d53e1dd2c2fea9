"""Which way ICESat-2 flies, and so which of its beams are the strong ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

BACKWARD, FORWARD, TRANSITION = 0, 1, 2
_UNKNOWN = -1


@dataclass(frozen=True)
class Orientation:
    """Orientation of the spacecraft over a granule.

    Attributes
    ----------
    codes : tuple of int
        0 backward: the left beams are strong; 1 forward: the right ones; 2 in transition.
        Empty where it is not known.
    times : tuple of float
        ``delta_time`` from which each holds, ascending. What is before the first has the
        first, as a change is listed only if it lies in the granule.
    """

    codes: tuple[int, ...]
    times: tuple[float, ...]

    @classmethod
    def unknown(cls) -> Orientation:
        """Where the file does not say."""
        return cls((), ())

    @classmethod
    def of(cls, codes: np.ndarray, times: np.ndarray) -> Orientation:
        """From ``sc_orient`` and ``sc_orient_time``; unknown where they make no sense."""
        if not codes.size or not np.isin(codes, (BACKWARD, FORWARD, TRANSITION)).all():
            return cls.unknown()
        if len(set(codes.tolist())) == 1:
            return cls((int(codes[0]),), (-np.inf,))
        if codes.shape != times.shape or not np.isfinite(times).all():
            return cls.unknown()
        order = np.argsort(times, kind="stable")
        return cls(tuple(codes[order].tolist()), tuple(times[order].tolist()))

    @property
    def is_unknown(self) -> bool:
        """Whether the file does not say."""
        return not self.codes

    def at(self, delta_time: np.ndarray) -> np.ndarray:
        """Code at every time; -1 where it is not known.

        Parameters
        ----------
        delta_time : ndarray of float64, shape (segments,)

        Returns
        -------
        ndarray of int, shape (segments,)
        """
        if len(self.codes) < 2:
            return np.full(delta_time.shape, self.codes[0] if self.codes else _UNKNOWN)
        index = np.searchsorted(self.times, delta_time, side="right") - 1
        found = np.array(self.codes)[np.maximum(index, 0)]
        return np.where(np.isfinite(delta_time), found, _UNKNOWN)

    def may_be(self, beam: str, beams: str) -> bool:
        """Whether a beam has to be looked at for those that are wanted.

        It has where its segments may be of the wanted kind, or in no kind and to be counted.
        """
        if beams == "all" or self.is_unknown or TRANSITION in self.codes:
            return True
        strong = {code == _strong_code(beam) for code in self.codes}
        return (beams == "strong") in strong

    def parts(
        self, beam: str, delta_time: np.ndarray, word: str | None
    ) -> tuple[list[tuple[bool | None, np.ndarray]], int]:
        """Segments of a beam while it was strong, and while it was weak.

        Parameters
        ----------
        beam : str
        delta_time : ndarray of float64, shape (segments,)
        word : str or None
            ``atlas_beam_type``, which decides where the orientation is not known at all.

        Returns
        -------
        parts : list of (bool or None, ndarray of bool)
            Whether strong, None where nothing says so, and its segments; none are empty.
        unused : int
            Segments in transition.
        """
        if self.is_unknown:
            said = {"strong": True, "weak": False}.get(word or "")
            return [(said, np.ones(delta_time.shape, bool))], 0
        codes = self.at(delta_time)
        is_strong = codes == _strong_code(beam)
        is_used = (codes == BACKWARD) | (codes == FORWARD)
        parts: Iterable[tuple[bool | None, np.ndarray]] = (
            (True, is_strong),
            (False, is_used & ~is_strong),
        )
        return [part for part in parts if part[1].any()], int(np.count_nonzero(~is_used))


def _strong_code(beam: str) -> int:
    return BACKWARD if beam.endswith("l") else FORWARD
