"""Descriptions of daily concentration products: what their files are called and what is in them.

A description is a YAML file of a few words; docs/products.md lists them. The packaged ones lie beside
this module, a user's own has the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from seaice import InputError, grids
from seaice.grids import Grid
from seaice.report import listing
from seaice.runtime.yaml_files import load_yaml

Container = Literal["netcdf", "hdf5", "binary", "geotiff"]
Units = Literal["percent", "fraction"]


class CellClass(IntEnum):
    """What a product says about a cell of a day."""

    VALUE = 0
    MISSING = 1
    LAND = 2
    COAST = 3  # land beside the sea
    LAKE = 4
    POLE_HOLE = 5
    NEVER_ICE = 6  # sea in which ice never occurs in this season


class FlagMeaning(NamedTuple):
    """What a bit, a value or a word of a flag variable says about a cell.

    Attributes
    ----------
    cell_class : CellClass or None
        None leaves the class as it is.
    is_interpolated : bool
        Whether the producer has interpolated the value in space or time.
    """

    cell_class: CellClass | None
    is_interpolated: bool = False


@dataclass(frozen=True)
class FlagRule:
    """How a flag variable beside the concentration is read.

    One of ``bits``, ``values`` and ``words`` is not empty.

    Attributes
    ----------
    variables : tuple of str
        Names or patterns of the variable; the first that the file has counts.
    bits : tuple of (int, FlagMeaning)
        Meaning of each bit, of which a cell may have several; bits that are not listed mean nothing.
    values : tuple of (int, FlagMeaning)
        Meaning of each number; a cell with a number that is not listed rejects the day.
    words : tuple of (str, FlagMeaning)
        Meaning of the words that the file's own ``flag_meanings`` give its bits or numbers: regular
        expressions that occur in a word. Words without one mean nothing.
    """

    variables: tuple[str, ...]
    bits: tuple[tuple[int, FlagMeaning], ...] = ()
    values: tuple[tuple[int, FlagMeaning], ...] = ()
    words: tuple[tuple[str, FlagMeaning], ...] = ()


@dataclass(frozen=True)
class Form:
    """One way in which the files of a product are named and laid out.

    Attributes
    ----------
    pattern : re.Pattern
        Of the whole name, with the groups ``day``, ``hemisphere``, ``version``, ``stage``,
        ``satellite`` and ``resolution`` as far as a name tells them. A form without ``day`` has the
        days that its time axis says.
    container : {"netcdf", "hdf5", "binary", "geotiff"}
    variables : tuple of str
        Names or patterns of the concentration, the preferred first; ``{N}`` stands for N or S, the
        hemisphere. Of several variables that fit one pattern the first in alphabetical order counts.
    units : {"percent", "fraction"} or None
        What stored numbers times ``scale`` are; None takes the units of the file.
    scale : float or None
        None takes the scale of the file. A file that has another is refused: the codes are raw numbers.
    codes : tuple of (int, CellClass)
        Raw numbers that are no concentration.
    error_variables : tuple of str
        Names or patterns of the standard error of the concentration; may be absent in a file.
    error_units : {"percent", "fraction"} or None
        None takes those of ``units``.
    flags : tuple of FlagRule
    grids : tuple of (str, str)
        Grid by hemisphere (``north``, ``south``, or ``any``); empty where the file tells it.
    projections : tuple of (str, str)
        Map projection by hemisphere, for files that tell coordinates and no projection.
    rows : {"down", "up"}
        Order of the rows where the file has no coordinates: ``down`` has the largest y first.
    latitude : str
        Name of a variable of latitudes that tells the order of the rows; empty if there is none.
    header : int
        Bytes before the values of a binary file.
    dtype : str
        NumPy type of the values of a binary file.
    has_true_time : bool
        Whether the time in the file can be compared with the day of the name.
    hemispheres : tuple of str
        Both hemispheres where one file holds both.
    version : str
        Where the name has none.
    stages : tuple of str
        Values of the group ``stage``, the best last.
    may_be_ice_free : bool
        Whether a day may be without any ice; a whole hemisphere never is.
    """

    pattern: re.Pattern[str]
    container: Container = "netcdf"
    variables: tuple[str, ...] = ()
    units: Units | None = None
    scale: float | None = None
    codes: tuple[tuple[int, CellClass], ...] = ()
    error_variables: tuple[str, ...] = ()
    error_units: Units | None = None
    flags: tuple[FlagRule, ...] = ()
    grids: tuple[tuple[str, str], ...] = ()
    projections: tuple[tuple[str, str], ...] = ()
    rows: Literal["down", "up"] = "down"
    latitude: str = ""
    header: int = 0
    dtype: str = "u1"
    has_true_time: bool = True
    hemispheres: tuple[str, ...] = ()
    version: str = ""
    stages: tuple[str, ...] = ()
    may_be_ice_free: bool = False

    @property
    def has_one_day(self) -> bool:
        """Whether the name of a file tells its day."""
        return "day" in self.pattern.groupindex

    @cached_property
    def classes(self) -> frozenset[CellClass]:
        """The classes that codes and flags tell, besides those that the file alone names."""
        meanings = [
            meaning
            for rule in self.flags
            for kind in (rule.bits, rule.values, rule.words)
            for _, meaning in kind
        ]
        of_flags = {meaning.cell_class for meaning in meanings if meaning.cell_class is not None}
        return frozenset(of_flags | {cell_class for _, cell_class in self.codes})

    def list_grids(self, hemisphere: str | None) -> list[Grid]:
        """List the grids that a file of a hemisphere may have; empty if the file tells its own."""
        halves = (hemisphere, "any")
        return [resolve_grid(text) for half, text in self.grids if hemisphere is None or half in halves]


@dataclass(frozen=True)
class Product:
    """A daily concentration product.

    Attributes
    ----------
    name : str
        As in ``--product``.
    title : str
    source, references : str
        For the attributes of what is made of it.
    url : str
        Where the files are fetched.
    account : str
        Which account that needs; empty if none.
    notes : str
        What the product does not tell.
    forms : tuple of Form
    left_out : tuple of re.Pattern
        Names of files of the product that hold no day, such as monthly means.
    """

    name: str
    title: str
    forms: tuple[Form, ...]
    source: str = ""
    references: str = ""
    url: str = ""
    account: str = ""
    notes: str = ""
    left_out: tuple[re.Pattern[str], ...] = ()


def list_products() -> list[str]:
    """List the names of all packaged products.

    Examples
    --------
    >>> "nsidc-0051" in list_products()
    True
    """
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yml"))


def get_product(name_or_path: str | Path, *, further_names: Sequence[str] = ()) -> Product:
    """Return a packaged product by its name, or read the description of one from a YAML file.

    Parameters
    ----------
    name_or_path : str or Path
    further_names : sequence of str
        Names that a message lists too.

    Raises
    ------
    InputError
        If there is no product or file of this name, or the file is no description.

    Examples
    --------
    >>> get_product("nsidc-0081").title
    'Near-real-time NASA Team sea ice concentration'
    """
    text = str(name_or_path)
    if text.lower() in list_products():
        return _read_packaged(text.lower())
    if Path(text).suffix.lower() in (".yml", ".yaml") or Path(text).exists():
        return _read_description(Path(text))
    names = [*further_names, *list_products()]
    nearest = get_close_matches(text.lower(), names, 1)
    raise InputError(
        f"unknown product {text!r}{f', did you mean {nearest[0]}?' if nearest else ''}; expected one of "
        f"{', '.join(names)} or the path of a YAML description"
    )


@cache
def resolve_grid(text: str) -> Grid:
    """Return the grid that the word ``grid`` of a description names."""
    return grids.parse_grid(text)


@cache
def _read_packaged(name: str) -> Product:
    return _read_description(Path(__file__).with_name(f"{name}.yml"))


# --- reading a description ------------------------------------------------------------------------

_HEMISPHERES = ("north", "south")
_PRODUCT_WORDS = ("title", "source", "references", "url", "account", "notes")
_GROUPS = {"day", "hemisphere", "version", "stage", "satellite", "resolution"}
_MOST_FORMS = 100


class _Complaint(Exception):
    """A description cannot be used; the message says why."""


def _read_description(path: Path, *, depth: int = 0) -> Product:
    """Read the description of a product, with the path in front of every complaint."""
    with _name_file(path):
        content = _load_words(path, depth=depth)
        return _parse_product(content, default_name=path.stem)


@contextmanager
def _name_file(path: Path) -> Iterator[None]:
    import yaml

    try:
        yield
    except _Complaint as error:
        raise InputError(f"{path}: {error}") from None
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise InputError(f"{path} is no readable YAML description of a product ({reason})") from None


def _load_words(path: Path, *, depth: int) -> dict[str, Any]:
    """Load the words of a description, with those of the product that it is like."""
    content = load_yaml(path)
    if not isinstance(content, dict):
        raise _Complaint("expected words with values, such as 'title: ...' and 'forms: ...'")
    base = content.pop("like", None)
    if base is None:
        return content
    if base not in list_products() or depth > 3:
        raise _Complaint(f"like: expected one of {', '.join(list_products())}, found {base!r}")
    words = _load_words(Path(__file__).with_name(f"{base}.yml"), depth=depth + 1)
    if "forms" in content:
        return {**words, **content}
    # A word that a form has too is changed in every form.
    forms = [{k: v for k, v in form.items() if k not in content} for form in words.get("forms", ())]
    return {**words, "forms": forms, **content}


def _parse_product(content: dict[str, Any], *, default_name: str) -> Product:
    expected = {"name", "forms", "left_out", *_PRODUCT_WORDS}
    _refuse_unknown_words(content, expected | _FORM_WORDS.keys())
    forms = content.get("forms", [{}])
    if not isinstance(forms, list) or not all(isinstance(form, dict) for form in forms):
        raise _Complaint("forms: expected a list, each with 'file' and other words")
    if not 0 < len(forms) <= _MOST_FORMS:
        raise _Complaint(f"forms: expected 1 to {_MOST_FORMS}, found {len(forms)}")
    common = {word: value for word, value in content.items() if word in _FORM_WORDS}
    for form in forms:
        _refuse_unknown_words(form, _FORM_WORDS.keys())
    texts = {word: _read_text(word, content[word]) for word in _PRODUCT_WORDS if word in content}
    name = _read_text("name", content.get("name", default_name))
    left_out = _read_list("left_out", content.get("left_out", ()))
    return Product(
        name=name,
        title=texts.pop("title", name),
        forms=tuple(_parse_form({**common, **form}) for form in forms),
        left_out=tuple(_compile("left_out", text) for text in left_out),
        **texts,
    )


def _parse_form(words: dict[str, Any]) -> Form:
    if "file" not in words:
        raise _Complaint("every form needs 'file', a regular expression of the whole name")
    values: dict[str, Any] = {}
    for word, value in words.items():
        attribute, read = _FORM_WORDS[word]
        values[attribute] = read(word, value)
    form = Form(**values)
    unknown = form.pattern.groupindex.keys() - _GROUPS
    if unknown:
        raise _Complaint(f"file: unknown group {sorted(unknown)[0]!r}, expected {sorted(_GROUPS)}")
    _check_form(form)
    return form


def _check_form(form: Form) -> None:
    """Complain about a form that cannot be read for want of a word."""
    is_array = form.container in ("netcdf", "hdf5")
    if is_array and not form.variables:
        raise _Complaint("variable: a form in NetCDF or HDF5 needs the name of the concentration")
    if not is_array and (form.units is None or form.scale is None):
        raise _Complaint(f"a {form.container} form needs 'units' and 'scale'")
    if form.container == "binary" and not (form.grids and form.has_one_day):
        raise _Complaint("a binary form needs 'grid' and the group 'day' in 'file'")
    if form.container == "geotiff" and not form.has_one_day:
        raise _Complaint("a geotiff form needs the group 'day' in 'file'")
    for _, grid in form.grids:
        try:
            resolve_grid(grid)
        except InputError as error:
            raise _Complaint(f"grid: {error}") from None
    if form.container == "hdf5" and not form.grids:
        raise _Complaint("an hdf5 form needs 'grid'")


def _refuse_unknown_words(content: Mapping[Any, Any], expected: Any) -> None:
    for word in content:
        if word not in expected:
            nearest = get_close_matches(str(word), sorted(expected), 1)
            hint = f", did you mean {nearest[0]!r}?" if nearest else f"; expected {sorted(expected)}"
            raise _Complaint(f"unknown word {str(word)!r}{hint}")


def _read_text(word: str, value: Any) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise _Complaint(f"{word}: expected a text, found {value!r}")
    return " ".join(str(value).split())


def _read_list(word: str, value: Any) -> tuple[str, ...]:
    """A text, or a list of texts."""
    items = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(item, str) for item in items):
        raise _Complaint(f"{word}: expected a text or a list of texts, found {value!r}")
    return tuple(items)


def _read_number(word: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise _Complaint(f"{word}: expected a number above 0, found {value!r}")
    return float(value)


def _read_count(word: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 20:
        raise _Complaint(f"{word}: expected a number of bytes, found {value!r}")
    return value


def _read_switch(word: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Complaint(f"{word}: expected true or false, found {value!r}")
    return value


def _compile(word: str, value: Any) -> re.Pattern[str]:
    """Compile a regular expression of names; not every copy keeps small letters."""
    try:
        return re.compile(_read_text(word, value), re.IGNORECASE)
    except re.error as error:
        raise _Complaint(f"{word}: {value!r} is no regular expression ({error})") from None


def _read_choice(*choices: str) -> Callable[[str, Any], str]:
    def read(word: str, value: Any) -> str:
        if value not in choices:
            raise _Complaint(f"{word}: expected {' or '.join(choices)}, found {value!r}")
        return str(value)

    return read


def _read_dtype(word: str, value: Any) -> str:
    if value not in ("u1", "i1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<f4", ">f4"):
        raise _Complaint(f"{word}: expected a type such as u1, <i2 or <f4, found {value!r}")
    return str(value)


def _read_by_hemisphere(word: str, value: Any) -> tuple[tuple[str, str], ...]:
    """A text for any hemisphere, or texts for north and south."""
    if isinstance(value, str):
        return (("any", value),)
    if not isinstance(value, dict) or not value or set(value) - set(_HEMISPHERES):
        raise _Complaint(f"{word}: expected a text, or north: and south: with texts, found {value!r}")
    return tuple((hemisphere, _read_text(word, text)) for hemisphere, text in value.items())


def _read_class(word: str, value: Any) -> CellClass:
    names = [c.name.lower() for c in CellClass if c != CellClass.VALUE]
    if value not in names:
        raise _Complaint(f"{word}: unknown class {value!r}, expected one of {', '.join(names)}")
    return CellClass[str(value).upper()]


def _read_codes(word: str, value: Any) -> tuple[tuple[int, CellClass], ...]:
    return tuple((n, _read_class(word, name)) for n, name in _iterate_numbers(word, value))


def _read_meaning(word: str, value: Any) -> FlagMeaning:
    """Read a class, or ``interpolated``, or ``nothing``."""
    if value == "nothing":
        return FlagMeaning(None)
    return FlagMeaning(None, True) if value == "interpolated" else FlagMeaning(_read_class(word, value))


def _iterate_numbers(word: str, value: Any) -> Iterator[tuple[int, Any]]:
    if not isinstance(value, dict):
        raise _Complaint(f"{word}: expected numbers with their meanings, found {value!r}")
    for number, meaning in value.items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise _Complaint(f"{word}: expected a whole number, found {number!r}")
        yield number, meaning


def _read_flags(word: str, value: Any) -> tuple[FlagRule, ...]:
    rules = value if isinstance(value, list) else [value]
    return tuple(_read_flag_rule(word, rule) for rule in rules)


def _read_flag_rule(word: str, rule: Any) -> FlagRule:
    if not isinstance(rule, dict) or "variable" not in rule or len(rule) != 2:
        raise _Complaint(f"{word}: expected 'variable' and one of 'bits', 'values' or 'words'")
    _refuse_unknown_words(rule, {"variable", "bits", "values", "words"})
    (kind,) = rule.keys() - {"variable"}
    label = f"{word}, {kind}"
    meanings: tuple[tuple[Any, FlagMeaning], ...]
    if kind == "words":
        if not isinstance(rule[kind], dict):
            raise _Complaint(f"{label}: expected words with their meanings, found {rule[kind]!r}")
        meanings = tuple(
            (_compile(label, text).pattern, _read_meaning(label, meaning))
            for text, meaning in rule[kind].items()
        )
    else:
        meanings = tuple((n, _read_meaning(label, m)) for n, m in _iterate_numbers(label, rule[kind]))
        if kind == "bits" and any(n < 1 or n & (n - 1) for n, _ in meanings):
            raise _Complaint(f"{label}: expected powers of two")
    if any(not 0 <= n < 1 << 16 for n, _ in meanings if isinstance(n, int)):
        raise _Complaint(f"{label}: expected numbers from 0 to 65535")
    return FlagRule(_read_list(word, rule["variable"]), **cast(Any, {kind: meanings}))


def _read_hemispheres(word: str, value: Any) -> tuple[str, ...]:
    names = _read_list(word, value)
    if set(names) - set(_HEMISPHERES):
        raise _Complaint(f"{word}: expected north and south, found {listing(list(names))}")
    return names


# Words of a form: the attribute of Form, and what reads it.
_FORM_WORDS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "file": ("pattern", _compile),
    "container": ("container", _read_choice("netcdf", "hdf5", "binary", "geotiff")),
    "variable": ("variables", _read_list),
    "units": ("units", _read_choice("percent", "fraction")),
    "scale": ("scale", _read_number),
    "codes": ("codes", _read_codes),
    "error_variable": ("error_variables", _read_list),
    "error_units": ("error_units", _read_choice("percent", "fraction")),
    "flags": ("flags", _read_flags),
    "grid": ("grids", _read_by_hemisphere),
    "projection": ("projections", _read_by_hemisphere),
    "rows": ("rows", _read_choice("down", "up")),
    "latitude": ("latitude", _read_text),
    "header": ("header", _read_count),
    "dtype": ("dtype", _read_dtype),
    "has_true_time": ("has_true_time", _read_switch),
    "hemispheres": ("hemispheres", _read_hemispheres),
    "version": ("version", _read_text),
    "stages": ("stages", _read_list),
    "may_be_ice_free": ("may_be_ice_free", _read_switch),
}
