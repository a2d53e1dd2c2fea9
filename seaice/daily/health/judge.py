"""Judgement of a day beside the days around it: findings, each with its value and its limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, get_args

import numpy as np

from seaice.daily.health.sample import ICE_EDGE, Change, HealthSample, measure_change
from seaice.daily.health.shape import (
    find_empty_part,
    find_shift,
    find_stripe,
    find_turn,
    mark_odd,
    measure_repeated_share,
)
from seaice.dates import from_day_number

# Days that judge a day: so many before, and after.
DAYS_BEFORE, DAYS_AFTER = 7, 3
# Of them the nearest on each side are compared with the day itself; all show what changes are usual.
_NEAREST = 3

Kind = Literal[
    "repeated",
    "turned",
    "shifted",
    "half_empty",
    "stripe",
    "area",
    "extent",
    "changed",
    "displaced",
    "misplaced",
    "missing",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Least ice that can be judged, square kilometres: a little may come and go.
_LEAST_ICE = 100_000.0
# An ice edge moves by some kilometres on a day, out on some stretches and in on some, so that the area
# varies with the square root of the ice: kilometres by which that is multiplied.
_AREA_KILOMETRES, _EXTENT_KILOMETRES = 70.0, 130.0
# Limits of further changes: what a hemisphere shows, and what is added for little ice, over its square
# root in kilometres.
_CHANGE = 7.0, 6000.0  # percent
_DISPLACEMENT = 6.0, 14000.0  # kilometres
# Times the usual change of the days around that is no finding, however small the limits above are.
_USUAL = 2.5
# Against the days of one side alone a day must depart by so many limits.
_ONE_SIDED = 2.2
_ONE_SIDED_CHANGE = 1.5
_REPEATED_SHARE, _REPEATED_BOXES = 0.95, 160
# Ice of a part without ice, square kilometres: at least, and by the square root of the ice.
_EMPTY_LEAST, _EMPTY_KILOMETRES = 30_000.0, 40.0
# Values where no day around has any, as on land, and none where all have some: share of the sea, square
# kilometres at least, and days around at least, which may have a gap in common.
_MISPLACED_SHARE, _MISPLACED_LEAST, _MISPLACED_DAYS = 0.005, 50_000.0, 3
# Share of the sea, and of its ice, that has no value.
_MISSING_SEA, _MISSING_ICE = 0.4, 0.35
_STRIPE_KILOMETRES = 600.0
_STRIPE_REACH, _STRIPE_MARGIN = 2, 25.0


@dataclass(frozen=True)
class Finding:
    """What makes a day suspicious.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    value, limit : float
        The measured value, and the limit that it exceeds. Of a turned or moved field: how far it
        departs from a day around, and how far when it is put back, percent.
    text : str
        Both in a sentence.
    """

    kind: Kind
    value: float
    limit: float
    text: str

    @property
    def doubts_values(self) -> bool:
        """Whether the values that the day has are in doubt, not only that there are few."""
        return self.kind != "missing"


def describe_findings(findings: Sequence[Finding]) -> str:
    """Describe why a day is suspicious, the most telling finding in words; empty without findings.

    Examples
    --------
    >>> describe_findings([Finding("missing", 60, 40, "60 percent missing, limit 40")])
    'suspicious: 60 percent missing, limit 40'
    """
    if not findings:
        return ""
    more = ", ".join(finding.kind.replace("_", " ") for finding in findings[1:])
    return f"suspicious: {findings[0].text}{f' (also: {more})' if more else ''}"


def judge_day(
    day: HealthSample,
    before: Sequence[HealthSample],
    look_after: Callable[[], Sequence[HealthSample]] = list,
) -> list[Finding]:
    """Judge a day beside the days around it.

    What departs from the days before is looked for on the days after too, and is no finding if these
    agree with the day, unless it departs very far: a lasting step is suspicious on its first day.

    Parameters
    ----------
    day : HealthSample
    before : sequence of HealthSample
        Days before, nearest first; those of the last seven days count.
    look_after : callable
        Gives the days after, nearest first; those of the next three days count. It is called only if
        the days before leave a suspicion, or if there are none.

    Returns
    -------
    list of Finding
        The most telling first; empty for a healthy day.

    Examples
    --------
    >>> from seaice.daily.health.sample import sample_health
    >>> from seaice.grids import get_grid
    >>> grid = get_grid("n25000").crop(slice(200, 240), slice(100, 140))
    >>> fields = [np.full(grid.shape, 80 + day, np.float32) for day in range(5)]
    >>> fields[2][:] = 40
    >>> days = [sample_health(field, grid, number) for number, field in enumerate(fields)]
    >>> [finding.kind for finding in judge_day(days[2], days[1::-1], lambda: days[3:])]
    ['area', 'changed']
    >>> judge_day(days[3], days[2::-1], lambda: days[4:])
    []
    """
    before = [reference for reference in before if 0 < day.number - reference.number <= DAYS_BEFORE]
    if before and not _find_all(day, [before], before, limits=1):
        return _find_repeated(day, before)
    after = [reference for reference in look_after() if 0 < reference.number - day.number <= DAYS_AFTER]
    sides = [list(side) for side in (before, after) if side]
    if not sides:
        return []
    return _find_repeated(day, before) + _find_all(day, sides, [*before, *after])


def _find_all(
    day: HealthSample,
    sides: Sequence[Sequence[HealthSample]],
    around: Sequence[HealthSample],
    limits: float | None = None,
) -> list[Finding]:
    """Find what departs from one side or both; ``limits`` is how many limits one side takes."""
    departures = [_Departures(day, side[:_NEAREST], around) for side in sides]
    # Where only one side judges, two of its days do: one of them may be bad itself.
    count = 1 if len(sides) > 1 or limits is not None else 2
    nearest = [reference for side in sides for reference in side[:count]]
    near = [reference for side in sides for reference in side[:_NEAREST]]
    shapes = [_find_half_empty(day, nearest), _find_new_stripe(day, nearest)]
    # Few days may have a gap in common: they raise a suspicion, which the days after settle.
    coasts = _find_misplaced(day, around) if limits or len(around) >= _MISPLACED_DAYS else None
    findings = [*shapes, *_find_jumps(departures, limits), coasts, _find_missing(day, near)]
    sure = [finding for finding in findings if finding is not None]
    explained = _explain(day, near) if sure and limits is None else None
    return sure if explained is None else [explained]


class _Departures:
    """What changed from the nearest days of one side, each measure in limits.

    Of several days the one that departs least counts: one of them may be bad itself.
    """

    def __init__(
        self, day: HealthSample, side: Sequence[HealthSample], around: Sequence[HealthSample]
    ) -> None:
        self.changes = [measure_change(day, reference) for reference in side]
        ordered = sorted(around, key=lambda reference: reference.number)
        pairs = list(zip(ordered[1:], ordered, strict=False))
        usual = [measure_change(new, old) for new, old in pairs]

        def find_usual(measure: Callable[[Change], float]) -> float:
            return median(abs(measure(c)) / c.days for c in usual) if usual else 0.0

        self._usual = {name: find_usual(measure) for name, measure in _MEASURES.items()}

    def compute_limit(self, name: str, change: Change) -> float:
        """Limit of a measure for a change."""
        root = max(change.ice, _LEAST_ICE) ** 0.5
        return max(_LIMITS[name](root), _USUAL * self._usual[name]) * abs(change.days) ** 0.5

    def choose(self, name: str) -> tuple[Change, float, float]:
        """The change of the day that departs least, its measure and the limit of that."""

        def count_limits(change: Change) -> float:
            return abs(_MEASURES[name](change)) / self.compute_limit(name, change)

        change = min(self.changes, key=count_limits)
        value = _MEASURES[name](change) if change.ice >= _LEAST_ICE else 0.0
        return change, value, self.compute_limit(name, change)


_MEASURES: dict[str, Callable[[Change], float]] = {
    "area": lambda change: change.area,
    "extent": lambda change: change.extent,
    "changed": lambda change: change.mean,
    "displaced": lambda change: change.displacement,
}
# Limits by the square root of the ice, kilometres.
_LIMITS: dict[str, Callable[[float], float]] = {
    "area": lambda root: _AREA_KILOMETRES * root,
    "extent": lambda root: _EXTENT_KILOMETRES * root,
    "changed": lambda root: _CHANGE[0] + _CHANGE[1] / root,
    "displaced": lambda root: _DISPLACEMENT[0] + _DISPLACEMENT[1] / root,
}


def _find_jumps(departures: Sequence[_Departures], limits: float | None) -> list[Finding]:
    findings = []
    for name in _MEASURES:
        chosen = [departure.choose(name) for departure in departures]
        change, value, limit = chosen[0]
        one_sided = limits or (_ONE_SIDED_CHANGE if name == "changed" else _ONE_SIDED)
        # A single day before may be a bad one itself.
        is_step = abs(value) >= one_sided * limit and len(departures[0].changes) > 1
        if len(chosen) > 1 and not is_step:
            both = _agree(name, change, chosen[1][0], value, chosen[1][1])
            limit = max(limit, chosen[1][2])
            value = float(np.copysign(both, value))
        else:
            limit *= one_sided
        if abs(value) > limit:
            findings.append(_describe_jump(name, value, limit))
    return findings


def _agree(name: str, before: Change, after: Change, value: float, later: float) -> float:
    """How far a day departs from both sides in the same direction; 0 if it lies between them."""
    if name == "displaced":
        product = before.rows * after.rows + before.columns * after.columns
        return max(product, 0.0) / max(value, later, 1e-9)
    return min(abs(value), abs(later)) if value * later > 0 else 0.0


def _describe_jump(name: str, value: float, limit: float) -> Finding:
    if name in ("area", "extent"):
        word = "more" if value > 0 else "less"
        text = f"{abs(value):,.0f} km2 {word} {name} of ice than around, limit {limit:,.0f}"
    elif name == "changed":
        text = f"ice differs by {value:.1f} percent from the days around, limit {limit:.1f}"
    else:
        text = f"the field lies {value:.0f} km off that of the days around, limit {limit:.0f}"
    kind: Kind = name  # type: ignore[assignment]
    return Finding(kind, abs(value), limit, text)


def _explain(day: HealthSample, references: Sequence[HealthSample]) -> Finding | None:
    """Find out whether the field is turned or moved, beside the day that it departs from least."""
    reference = min(references, key=lambda reference: measure_change(day, reference).mean)
    turn, shift = find_turn(day, reference), find_shift(day, reference)
    match = min((m for m in (turn, shift) if m is not None), key=lambda m: m.after, default=None)
    if match is None:
        return None
    words = match.words if match is turn else f"moved by {match.words}"
    text = f"{words}: differs by {match.before:.1f} percent, put back by {match.after:.1f}"
    return Finding("turned" if match is turn else "shifted", match.before, match.after, text)


def _find_repeated(day: HealthSample, before: Sequence[HealthSample]) -> list[Finding]:
    for reference in before:
        share = measure_repeated_share(day, reference, least=_REPEATED_BOXES)
        if share > _REPEATED_SHARE:
            earlier = from_day_number(reference.number)
            text = f"{share:.0%} of the values of partial ice are those of {earlier}, limit "
            text += f"{_REPEATED_SHARE:.0%}"
            return [Finding("repeated", share, _REPEATED_SHARE, text)]
    return []


def _measure_ice(sample: HealthSample) -> float:
    return float(sample.area[sample.percent >= ICE_EDGE].sum())


def _find_half_empty(day: HealthSample, nearest: Sequence[HealthSample]) -> Finding | None:
    ice = min(map(_measure_ice, nearest))
    limit = max(_EMPTY_LEAST, _EMPTY_KILOMETRES * ice**0.5)
    part = find_empty_part(day, nearest, least=limit)
    if part is None or ice < _LEAST_ICE:
        return None
    text = f"0 percent in {part.words}, where days around have {part.ice:,.0f} km2 of ice, limit "
    return Finding("half_empty", part.ice, limit, f"{text}{limit:,.0f}")


def _find_misplaced(day: HealthSample, around: Sequence[HealthSample]) -> Finding | None:
    """Find out whether coasts lie elsewhere: values on land and land where the sea is.

    A closed pack that is moved with its land agrees with the days around wherever both have values.
    """
    now = ~np.isnan(day.percent)
    had = [~np.isnan(reference.percent) for reference in around]
    ever, always = np.logical_or.reduce(had), np.logical_and.reduce(had)
    sea = max(float(day.area[ever].sum()), 1.0)
    on_land, in_sea = (float(day.area[cells].sum()) for cells in (now & ~ever, ~now & always))
    limit = max(_MISPLACED_SHARE * sea, _MISPLACED_LEAST)
    if min(on_land, in_sea) <= limit:
        return None
    text = (
        f"{on_land:,.0f} km2 have values where no day around has any, and {in_sea:,.0f} km2 none where "
        f"all have, limit {limit:,.0f}"
    )
    return Finding("misplaced", min(on_land, in_sea), limit, text)


def _find_missing(day: HealthSample, references: Sequence[HealthSample]) -> Finding | None:
    """Find out whether much of the sea or of the ice of the days around has no value."""
    is_missing = np.isnan(day.percent)
    sea = ~np.logical_and.reduce([np.isnan(reference.percent) for reference in references])
    ice = np.logical_or.reduce([reference.percent >= ICE_EDGE for reference in references])
    for cells, words, limit in ((sea, "sea", _MISSING_SEA), (ice, "ice", _MISSING_ICE)):
        share = float(day.area[cells & is_missing].sum() / max(float(day.area[cells].sum()), 1.0))
        if share > limit:
            text = f"{share:.0%} of the {words} of the days around has no value, limit {limit:.0%}"
            return Finding("missing", share, limit, text)
    return None


def _find_new_stripe(day: HealthSample, nearest: Sequence[HealthSample]) -> Finding | None:
    """Find a stripe that the days around do not have, of more or of less ice."""
    reach = _STRIPE_REACH + (nearest[0].number - nearest[-1].number in (0, 1))
    odd = [mark_odd(day, reference, reach=reach, margin=_STRIPE_MARGIN) for reference in nearest]
    least = round(min(_STRIPE_KILOMETRES / day.kilometres, max(0.6 * max(day.percent.shape), 12)))
    for sign, words in ((1, "more"), (-1, "less")):
        stripe = find_stripe(np.logical_and.reduce([field == sign for field in odd]), least=least)
        if stripe is not None:
            length, width = (number * day.kilometres for number in stripe)
            limit = least * day.kilometres
            text = (
                f"a stripe {length:.0f} km long, some {width:.0f} km wide, of {words} ice than around, "
            )
            return Finding("stripe", length, limit, f"{text}limit {limit:.0f}")
    return None
