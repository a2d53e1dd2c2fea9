"""Classes of a polygon from its egg: total concentration, dominant stage of development and form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from seaice.sources.ai4arctic.tables import NO_CLASS
from seaice.sources.ice_chart.codes import (
    CONCENTRATION_PERCENT,
    CONCENTRATION_TENTHS,
    FAST_ICE,
    FORM_CLASSES,
    NOT_SET,
    POLYGON_TYPES,
    STAGE_CLASSES,
    TYPE_COLUMNS,
    UNDETERMINED,
    PolygonType,
)

# Least share of the total concentration that a class has to have to be that of the polygon.
DOMINANT_SHARE = 0.65
_ROUNDING = 1e-9


class Reason:
    """Why a polygon of water or ice has no class; texts for attributes and tables."""

    UNDETERMINED = "undetermined"
    NOT_SET = "not set"
    UNKNOWN_CODE = "unknown code"
    BETWEEN_TENTHS = "between two tenths"
    NO_DOMINANT = "no dominant type"
    NO_CLASS = "ice without a class"
    FAST_ICE = "fast ice"


class Label(NamedTuple):
    """Class of a polygon in one of the charts, and why it has none.

    Attributes
    ----------
    value : int
        Class, 255: none.
    reason : str
        One of :class:`Reason`; empty where there is a class, and on land.
    """

    value: int
    reason: str = ""


class PolygonLabels(NamedTuple):
    """What a chart says of one polygon.

    Attributes
    ----------
    kind : PolygonType
    percent : float
        Total concentration, percent; NaN where it is not known, and on land.
    sic, sod, floe : Label
        Classes of concentration, stage of development and form.
    """

    kind: PolygonType
    percent: float
    sic: Label
    sod: Label
    floe: Label


class _IceType(NamedTuple):
    """A type of ice of a polygon: its share of all ice (None: not known), codes of stage and form."""

    share: float | None
    stage: str
    form: str


def label_polygon(codes: Mapping[str, str]) -> PolygonLabels:
    """Read the egg of a polygon.

    The class of stage and of form is the one that has at least 65 percent of the total concentration;
    types of one class count together. A polygon with fast ice, or another form without a size, has no
    class of form. Water has class 0 in all three.

    Parameters
    ----------
    codes : mapping of str to str
        Code of every column of :data:`seaice.sources.ice_chart.codes.COLUMNS`, as
        :func:`seaice.sources.ice_chart.codes.normalise_code` returns it.

    Examples
    --------
    >>> egg = dict(CT="90", CA="70", SA="87", FA="05", CB="20", SB="84", FB="04", POLY_TYPE="I")
    >>> labels = label_polygon(egg)
    >>> labels.percent, labels.sic.value, labels.sod.value, labels.floe.value
    (90.0, 9, 3, 4)
    """
    kind = POLYGON_TYPES.get(codes.get("POLY_TYPE", "").upper(), PolygonType.NO_DATA)
    if kind not in (PolygonType.WATER, PolygonType.ICE):
        none = Label(NO_CLASS)
        return PolygonLabels(kind, np.nan, none, none, none)
    total = codes.get("CT", NOT_SET)
    if kind == PolygonType.WATER:
        total = "00"
    percent = float(CONCENTRATION_PERCENT.get(total, np.nan))
    sic = _label_concentration(total)
    if sic.value == 0:
        return PolygonLabels(kind, percent, sic, sic, sic)
    types = _list_types(codes, CONCENTRATION_TENTHS.get(total))
    sod = _label_dominant(types, [_classify(t.stage, STAGE_CLASSES) for t in types])
    forms = [_classify(t.form, FORM_CLASSES) for t in types]
    floe = next((form for form in forms if form.reason in (Reason.FAST_ICE, Reason.NO_CLASS)), None)
    return PolygonLabels(kind, percent, sic, sod, floe or _label_dominant(types, forms))


def _label_concentration(code: str) -> Label:
    tenths = CONCENTRATION_TENTHS.get(code)
    if tenths is None:
        return Label(NO_CLASS, _explain(code))
    if tenths != round(tenths):
        return Label(NO_CLASS, Reason.BETWEEN_TENTHS)
    return Label(round(tenths))


def _list_types(codes: Mapping[str, str], total: float | None) -> list[_IceType]:
    """List the types of ice of a polygon."""
    types = [
        _IceType(
            CONCENTRATION_TENTHS.get(codes.get(concentration, NOT_SET)),
            codes.get(stage, NOT_SET),
            codes.get(form, NOT_SET),
        )
        for concentration, stage, form in TYPE_COLUMNS
    ]
    types = [types[0], *(t for t in types[1:] if t.share is not None or t.stage != NOT_SET)]
    if not total:  # of an unknown total nothing is a share
        return [t._replace(share=None) for t in types]
    return [t if t.share is None else t._replace(share=t.share / total) for t in types]


def _classify(code: str, table: Mapping[str, int | None]) -> Label:
    if code not in table:
        return Label(NO_CLASS, _explain(code))
    value = table[code]
    if value is None:
        return Label(NO_CLASS, Reason.FAST_ICE if code == FAST_ICE else Reason.NO_CLASS)
    return Label(value)


def _explain(code: str) -> str:
    return {NOT_SET: Reason.NOT_SET, UNDETERMINED: Reason.UNDETERMINED}.get(code, Reason.UNKNOWN_CODE)


def _label_dominant(types: Sequence[_IceType], labels: Sequence[Label]) -> Label:
    """Return the label of the types that together have most of the ice."""
    if len(types) == 1:
        return labels[0]
    shares: dict[Label, float] = {}
    for ice, label in zip(types, labels, strict=True):
        if ice.share is None:
            return Label(NO_CLASS, Reason.NO_DOMINANT)
        shares[label] = shares.get(label, 0.0) + ice.share
    dominant = max(shares, key=lambda label: shares[label])
    is_dominant = shares[dominant] >= DOMINANT_SHARE - _ROUNDING
    return dominant if is_dominant else Label(NO_CLASS, Reason.NO_DOMINANT)
