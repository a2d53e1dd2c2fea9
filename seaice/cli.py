"""What every script shares: parser, dates, logging, exit status.

The only module of the package that knows argparse and the process: it prints,
sets up logging and turns errors into exit statuses (0 done, 1 something failed,
2 wrong usage, 130 interrupted; see :meth:`seaice.report.Report.exit_status`).
"""

from __future__ import annotations

import argparse
import copy
import difflib
import errno
import getpass
import inspect
import io
import json
import logging
import math
import os
import re
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import seaice
from seaice import InputError, cf
from seaice.dates import (
    parse_date,
    parse_timestamp,
)
from seaice.report import Progress, Report, make_printable
from seaice.runtime.atomic_write import atomic
from seaice.runtime.options import Option
from seaice.runtime.output_kinds import OutputRefused, replace_any_kind
from seaice.settings import install_command

logger = logging.getLogger("seaice")

Stage = Callable[..., Report]
Commands = Mapping[str, tuple[Stage, str]]


# The same thing has another name in another stage: a stage that has one of these options takes the
# others for it. Those that name the input may be positional.
_INPUTS = ("--input_file", "--input", "--input_dir", "--source_dir", "--cube_file")
_SAME_OPTIONS = (
    _INPUTS,
    ("--cube_file", "--consolidated_file"),
    ("--start_date", "--start"),
    ("--end_date", "--end"),
    ("--land_mask_file", "--mask_file"),
    ("--workers", "--processes", "--threads"),
    ("--retries", "--max_retries"),
)
_SHORT_OPTIONS = {"-i": _INPUTS, "-o": ("--output_file", "--output_dir"), "-f": ("--force",)}


class _Parser(argparse.ArgumentParser):
    """Takes ``--start-date`` for ``--start_date``, no abbreviations, and options from a file."""

    # The words of the command line, for messages.
    _words: Sequence[str] = ()
    # The command that a line without one means.
    _default_command: str | None = None

    def format_help(self) -> str:
        return in_form_of_caller(super().format_help())

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        words = _with_underscores(list(sys.argv[1:] if args is None else args))
        if self._subparsers is None:
            words = self._use_own_names(words)
            self._refuse_unknown(words)
            words = self._add_config(words)
        else:
            if self._default_command is not None and words[:1] not in (["-h"], ["--help"]):
                is_option = not words or words[0].startswith("-")
                words = [self._default_command, *words] if is_option else words
            self._check_command(words)
        self._words = words
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """End with a message that names the word which is no option, where there is one."""
        stray = message.removeprefix("unrecognized arguments: ").split()[:1]
        if message.startswith("the following arguments are required") and self._subparsers is None:
            stray = self._probe(list(self._words))[1][:1]
        elif not message.startswith("unrecognized arguments: "):
            stray = []
        if stray:
            nearest = difflib.get_close_matches(stray[0].lstrip("-"), self._list_names(), 1, 0.8)
            advice = f"; did you mean --{nearest[0]}?" if nearest else ": no option stands before it"
            message = f"unexpected word {stray[0]}{advice}"
        super().error(message)

    def _list_names(self) -> list[str]:
        return [name[2:] for name in self._option_string_actions if name.startswith("--")]

    def _use_own_names(self, words: list[str]) -> list[str]:
        """Replace names that other stages have for an option by the name of this stage."""
        end = words.index("--") if "--" in words else len(words)
        own: list[str] = []
        for word in words[:end]:
            name, equals, value = word.partition("=")
            if self._is_input_positional and name in ("-i", *_INPUTS):
                own += [value] if equals else []
            else:
                own.append(self._own_name(name) + equals + value)
        return own + words[end:]

    @property
    def _is_input_positional(self) -> bool:
        return any(action.dest == "archives" for action in self._positionals._group_actions)

    def _own_name(self, name: str) -> str:
        """Name of this stage for an option of another one; the same name if there is none."""
        if name in self._option_string_actions:
            return name
        groups = [_SHORT_OPTIONS.get(name, ()), *(group for group in _SAME_OPTIONS if name in group)]
        own = {same for group in groups for same in group if same in self._option_string_actions}
        return own.pop() if len(own) == 1 else name

    def _refuse_unknown(self, words: list[str]) -> None:
        options = [name for name in self._option_string_actions if name.startswith("--")]
        for word in words[: words.index("--") if "--" in words else None]:
            name = word.partition("=")[0]
            # argparse takes a word with a blank for a value, whatever its first character.
            if " " in (name if word.startswith("--") else word) or not self._looks_unknown(name):
                continue
            self.error(f"{name}: no such option{_did_you_mean(name, options)}")

    def _looks_unknown(self, name: str) -> bool:
        """Whether a word looks like an option and is none; ``-odata`` is ``-o data``."""
        if name in self._option_string_actions or not name.startswith("-") or name in ("-", "--"):
            return False
        if name.startswith("--") or name[:2] not in self._option_string_actions:
            return not self._negative_number_matcher.match(name)
        # -output_dir would be -o utput_dir.
        nearest = difflib.get_close_matches(name[1:], self._list_names(), 1, 0.8)
        return bool(nearest) and nearest[0][0] == name[1] and name[2:] != nearest[0]

    def _check_command(self, words: list[str]) -> None:
        """Refuse a line without a command, or with a word before it that is no option."""
        commands = next(
            list(action.choices or ())
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
        )
        word = next((word for word in words if word not in self._option_string_actions), None)
        if word in commands or {"-h", "--help"} & set(words[:1]):
            return
        names = ", ".join(commands)
        if word is None:
            self.error(f"expected a command out of {names}, found none")
        if word.startswith("-"):
            self.error(f"{word}: options stand behind the command ({names})")
        nearest = difflib.get_close_matches(word, commands, 1)
        advice = f"did you mean {nearest[0]}?" if nearest else f"expected one of {names}"
        self.error(f"{word}: no such command; {advice}")

    def _add_config(self, words: list[str]) -> list[str]:
        """Add the options of the file ``--config`` that are not among the words themselves."""
        is_help = {"-h", "--help"} & set(words)
        has_config = any(word.partition("=")[0] == "--config" for word in words)
        own = vars(self._probe(words)[0]) if has_config and not is_help else {}
        if own.get("config") is None:
            return words
        actions = {action.dest: action for action in self._actions if action.dest not in _NO_STAGE}
        added: list[str] = []
        for key, value in self._read_config(own["config"]).items():
            name = self._own_name(f"--{key.replace('-', '_')}")[2:]
            if name not in actions:
                self.error(f"{own['config']}: {key}: no such option{_did_you_mean(name, actions)}")
            if name not in own:
                same = [action for action in self._actions if action.dest == name]
                try:
                    added += _option_words(same, value)
                except InputError as error:
                    self.error(f"{own['config']}: {key}: {error}")
        end = words.index("--") if "--" in words else len(words)
        return words[:end] + added + words[end:]

    def _probe(self, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """The options that are among the words, without any default, and the words that are none."""
        probe = copy.deepcopy(self)
        probe._defaults = {}
        for action in probe._actions:
            action.required, action.default = False, argparse.SUPPRESS
            if not action.option_strings and action.nargs == "+":
                action.nargs = "*"
        return argparse.ArgumentParser.parse_known_args(probe, words)

    def _read_config(self, path: Path) -> dict[str, Any]:
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self.error(f"--config {path}: {_one_line(error) if isinstance(error, OSError) else error}")


# Stands for the value of an option that takes options of another stage; a TOML file has a table for it.
ASSIGNMENT = "OPTION=VALUE"

# Options of every stage that the stage function does not see.
_NO_STAGE = (
    "help", "config", "write_config", "creator", "log_file", "quiet", "replace", "strict", "verbose",
)  # fmt: skip


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    dashes = "--" if name.startswith("-") else ""
    plain = [option.removeprefix("--") for option in names]
    nearest = difflib.get_close_matches(name.lstrip("-"), plain, n=1)
    nearest = nearest or [option for option in plain if option.startswith(name.lstrip("-"))]
    return f"; did you mean {dashes}{nearest[0]}?" if nearest else "; --help lists the options"


def _option_words(actions: Sequence[argparse.Action], value: Any) -> list[str]:
    """Words of a command line that give an option the value of a TOML file.

    ``actions`` are those of the option: two, where one switches on and another one off.
    """
    if all(action.nargs == 0 for action in actions):
        if not isinstance(value, bool):
            raise InputError(f"expected true or false, found {value!r}")
        return [action.option_strings[-1] for action in actions if action.const is value][:1]
    values = value if isinstance(value, list) else [value]
    if isinstance(value, dict) and all(action.metavar == ASSIGNMENT for action in actions):
        values = _list_assignments(value)
    if any(isinstance(part, bool | dict | list) for part in values):
        raise InputError(f"expected a value or a list of values, found {value!r}")
    texts = [str(part) for part in values]
    (action,) = actions
    if not action.option_strings:
        return texts
    name = action.option_strings[-1]
    if isinstance(action, argparse._AppendAction) and action.nargs is None:
        return [f"{name}={text}" for text in texts]
    return [f"{name}={texts[0]}"] if len(texts) == 1 else [name, *texts]


def _list_assignments(table: Mapping[str, Any]) -> list[str]:
    """Write a table of a TOML file as ``OPTION=VALUE``, once for every value.

    Examples
    --------
    >>> _list_assignments({"region": ["barents", "kara"], "append": True})
    ['region=barents', 'region=kara', 'append=true']
    """
    pairs = [(name, x) for name, v in table.items() for x in (v if isinstance(v, list) else [v])]
    nested = next((name for name, x in pairs if isinstance(x, dict | list)), None)
    if nested is not None:
        raise InputError(f"{nested}: expected a value or a list of values, found {table[nested]!r}")
    return [f"{name}={str(x).lower() if isinstance(x, bool) else x}" for name, x in pairs]


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    # Strings of JSON are strings of TOML; a password in an address is nobody's business.
    return json.dumps(re.sub(r"(?<=://)[^/@\s]*@", "", str(value)), ensure_ascii=False)


def _write_config(path: Path, program: str, options: Mapping[str, Any]) -> Report:
    if path.suffix != ".toml":
        raise InputError(f"--write_config: expected a name that ends in .toml, found {path.name}")
    lines = [
        f"# Options of {program}, version {seaice.__version__}; read by --config.",
        "# The command line wins over this file. Relative paths start where the command runs.",
        *(
            f"{name} = {_toml_value(value)}"
            for name, value in options.items()
            if value not in (None, ())
        ),
    ]
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Report([f"wrote {path}"])


def _with_underscores(words: list[str]) -> list[str]:
    end = words.index("--") if "--" in words else len(words)
    normal = []
    for word in words[:end]:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            word = "--" + name.replace("-", "_") + equals + value
        normal.append(word)
    return normal + words[end:]


def in_form_of_caller(text: str) -> str:
    """Write scripts in a text as commands (``seaice create-mask``) if the command ``seaice`` runs."""
    if not _program().startswith("seaice "):
        return text
    stages = "|".join(path.stem for path in (Path(__file__).parent / "commands").glob("[!_]*.py"))
    return re.sub(
        rf"(?:python )?\b({stages})\.py\b", lambda name: f"seaice {name[1].replace('_', '-')}", text
    )


def _program() -> str:
    """Name of the script, or ``seaice STAGE`` (:func:`seaice.commands.main`)."""
    return Path(sys.argv[0]).name


def make_parser(doc: str | None, stage: Stage | None = None) -> argparse.ArgumentParser:
    """Make a script's parser from its docstring and its stage function.

    Parameters
    ----------
    doc : str
        The script's docstring: a first paragraph that becomes the description;
        the rest (examples, references) is shown verbatim below the options.
    stage : callable, optional
        Keyword-only function whose parameters are the options. Its defaults
        become the parser's, so that they are written once, and ``%(default)s``
        in a help text shows them.
    """
    description, _, epilog = (doc or "").strip().partition("\n\n")
    return _prepared(_Parser(prog=_program(), description=description, epilog=epilog, **_FORM), stage)


_FORM: dict[str, Any] = {
    "formatter_class": argparse.RawDescriptionHelpFormatter,
    "allow_abbrev": False,
}


def add_commands(
    parser: argparse.ArgumentParser, commands: Commands, default: str | None = None
) -> list[argparse.ArgumentParser]:
    """Give a script subcommands, each with a stage function of its own.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser of :func:`make_parser`, made without a stage.
    commands : mapping of str to (callable, str)
        Stage and one line of help of every subcommand.
    default : str, optional
        The subcommand that a line means whose first word is an option.

    Returns
    -------
    list of argparse.ArgumentParser
        Parsers of the subcommands, in order; options are added to them.
    """
    if isinstance(parser, _Parser):
        parser._default_command = default
    subparsers = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )
    return [
        _prepared(
            subparsers.add_parser(name, help=text, description=text, epilog=parser.epilog, **_FORM),
            stage,
        )
        for name, (stage, text) in commands.items()
    ]


def _prepared(parser: _Parser, stage: Stage | None) -> argparse.ArgumentParser:
    # argparse takes -1.5e6 for an option unless told what a negative number looks like.
    parser._negative_number_matcher = re.compile(r"-(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$")
    add = parser.add_argument_group("options of every stage").add_argument
    add(
        "--verbose",
        action="store_true",
        default=argparse.SUPPRESS,
        help="debug messages, and tracebacks of errors",
    )
    if stage is not None:
        add(
            "--quiet",
            action="store_true",
            default=argparse.SUPPRESS,
            help="no progress and no messages but warnings and errors; results are printed",
        )
        add(
            "--strict",
            action="store_true",
            default=argparse.SUPPRESS,
            help="exit status 1 also where absent days or rejected files are left out",
        )
        files = {
            "config": "take options from this TOML file; the command line wins over it",
            "write_config": "write all options as they are here to this TOML file, and end",
            "log_file": "append the messages to this file too",
        }
        for name, text in files.items():
            add(f"--{name}", type=Path, default=argparse.SUPPRESS, metavar="FILE", help=text)
        add(
            "--creator",
            default=argparse.SUPPRESS,
            metavar="NAME",
            help="who makes the files, 'NAME' or 'NAME <MAIL>', for their attributes",
        )
        parameters = inspect.signature(stage).parameters.values()
        if "force" not in inspect.signature(stage).parameters:
            add(
                "--force",
                dest="replace",
                action="store_true",
                default=argparse.SUPPRESS,
                help="replace an output even if a file of another kind has its name",
            )
        parser.set_defaults(
            **{p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
        )
    return parser


def day(text: str) -> date:
    """Argument type: a calendar day as ``YYYYMMDD`` or ``YYYY-MM-DD``."""
    try:
        return parse_date(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def moment(*, last: bool = False) -> Callable[[str], datetime]:
    """Argument type: an instant, UTC; of a date alone its first second, or its last one."""

    def parse(text: str) -> datetime:
        try:
            return parse_timestamp(text, last=last)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def asker() -> Callable[[str, bool], str] | None:
    """A function that asks the person at the terminal; None where there is none.

    It takes the question and whether the answer is secret.
    """
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(question: str, secret: bool) -> str:
        if secret:
            with suppress(EOFError):
                return getpass.getpass(question)
            return ""
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip()

    return ask


def ask_options(questions: Mapping[str, str]) -> list[str]:
    """Words of a command line from the answers of a person; none where there is no terminal.

    Parameters
    ----------
    questions : mapping of str to str
        Option and question. An empty answer leaves the option out.

    Raises
    ------
    SystemExit
        With status 130, if the person interrupts.
    """
    ask = asker()
    words = []
    try:
        for option, question in questions.items() if ask else ():
            answer = ask(f"{question}: ", False) if ask else ""
            if answer:
                words += [option, answer]
    except KeyboardInterrupt:
        print("\ninterrupted: nothing was begun", file=sys.stderr)
        raise SystemExit(130) from None
    return words


def at_least(minimum: float, kind: Callable[[str], Any] = int) -> Callable[[str], Any]:
    """Argument type: a finite number not below ``minimum``."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number, found {text!r}") from None
        if not minimum <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number not below {minimum}, found {text}")
        return value

    return parse


def between(minimum: float, maximum: float, kind: Callable[[str], Any] = float) -> Callable[[str], Any]:
    """Argument type: a number within closed bounds."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number, found {text!r}") from None
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(
                f"expected a number from {minimum} to {maximum}, found {text}"
            )
        return value

    return parse


def numbers(text: str) -> tuple[float, ...]:
    """Argument type: numbers between commas.

    Examples
    --------
    >>> numbers("0.05,0.1, 1")
    (0.05, 0.1, 1.0)
    """
    return tuple(float(part) for part in text.split(","))


def add_period(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add ``--start_date`` and ``--end_date``."""
    for name, what in (("start", "first"), ("end", "last")):
        parser.add_argument(
            f"--{name}_date",
            type=day,
            required=required,
            metavar="DATE",
            help=f"{what} day, YYYYMMDD or YYYY-MM-DD",
        )


def add_test_days(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add ``--test`` and ``--train``, first and last days, of a stage that forecasts."""
    for name, text in (
        ("test", "first and last day that is forecast"),
        ("train", "first and last day to learn from (default: all days before the test)"),
    ):
        needed = required and name == "test"
        parser.add_argument(
            f"--{name}", nargs=2, type=day, required=needed, metavar=("FROM", "TO"), help=text
        )


def add_product(parser: argparse.ArgumentParser) -> None:
    """Add ``--product``: which products of a folder of daily files are read."""
    parser.add_argument(
        "--product",
        nargs="+",
        metavar="NAME",
        help="products to read, in order of preference: an id such as nsidc-0051 or osi-450, or a YAML "
        "file that describes one (default: the only product in the folder)",
    )


def add_grid(parser: argparse.ArgumentParser, default: str = "%(default)s") -> None:
    """Add ``--grid`` of a stage that makes grids; see :func:`seaice.grids.parse.parse_grid`."""
    parser.add_argument(
        "--grid",
        metavar="GRID",
        help="n, s, ease2n, ease2s, osisafn or osisafs and the cell size in metres, such as n12500; or "
        "EPSG:CODE:STEP:WEST,SOUTH,EAST,NORTH, the outer edges in metres or degrees; or a file to take "
        f"the grid from, NetCDF, Zarr or GeoTIFF (default {default})",
    )


def add_cadence(parser: argparse.ArgumentParser) -> None:
    """Add ``--period`` of a stage that makes grids; see :class:`seaice.gridding.period.Period`."""
    parser.add_argument(
        "--period",
        type=_check_period,
        metavar="PERIOD",
        help="time steps: day, week (from Monday), month, all at once, or days such as 5D, counted from "
        "--start_date or else 1970-01-01 (default %(default)s)",
    )


def _check_period(text: str) -> str:
    from seaice.gridding.period import Period

    try:
        Period.parse(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers`` and ``--dask``."""
    parser.add_argument(
        "--workers",
        type=at_least(1),
        metavar="N",
        help="local processes that share the days (default %(default)s)",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="share the days among the workers of this dask.distributed scheduler; 'local' starts "
        "--workers of them here",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a field is read (:class:`seaice.fields.options.ReadOptions`)."""
    add = parser.add_argument
    add("--input_file", type=Path, required=True, metavar="FILE", help="NetCDF file or Zarr group")
    add("--variable", metavar="NAME", help="variable of the field; needed if the file holds several")
    add("--mask_file", type=Path, metavar="FILE", help="land and sea (default: that of the input)")
    add("--mask_variable", metavar="NAME", help="variable of the mask")
    add("--mask_means", choices=["sea", "land"], help="meaning of 1 in a mask that does not state it")
    for surface in ("sea", "land"):
        for noun in ("codes", "bits"):
            add(
                f"--{surface}_{noun}",
                nargs="+",
                type=int,
                metavar="N",
                help=f"{noun} of the mask that are {surface}, in place of what the mask says",
            )
    add(
        "--quality_level",
        type=between(0, 5, int),
        metavar="LEVEL",
        help="least GHRSST quality, where the file has one (default %(default)s)",
    )
    add(
        "--valid_range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="valid values, others are missing (default: as the file states)",
    )
    add(
        "--concentration",
        action="store_true",
        help="the field is ice concentration, with HIGH as full ice",
    )
    add_period(parser, required=False)


def add_options(parser: Any, options: Iterable[Option]) -> None:
    """Add the options that were read from a stage or from filling methods.

    Parameters
    ----------
    parser : argparse.ArgumentParser or a group of it
    options : iterable of seaice.runtime.options.Option
        A switch that is on by default becomes ``--no_NAME``.
    """
    for option in options:
        text = re.sub(r"``|:\w+:`~?([\w.]+)`", r"\1", option.text).replace("%", "%%")
        if option.kind is bool:
            off = option.default is True
            action, text = ("store_false", f"switch off: {text}") if off else ("store_true", text)
            name = f"--no_{option.name}" if off else f"--{option.name}"
            parser.add_argument(name, dest=option.name, action=action, help=text)
            continue
        how: dict[str, Any] = {"required": option.required, "type": _type_of(option)}
        how |= {"choices": option.choices} if option.choices else {"metavar": _value_name(option)}
        if option.many:
            how["nargs"] = "+"
        if option.default not in (None, ()):
            values = option.default if option.many else [option.default]
            text += f" (default {' '.join(map(str, values))})"
        parser.add_argument(f"--{option.name}", help=text, **how)


def _type_of(option: Option) -> Callable[[str], Any]:
    if option.range is None:
        return option.kind
    low, high = option.range.low, option.range.high
    return at_least(low, option.kind) if high == math.inf else between(low, high, option.kind)


def _value_name(option: Option) -> str:
    if option.range and option.range.unit:
        return option.range.unit
    if option.kind is Path:
        kinds = {"dir": "DIR", "file": "FILE", "files": "FILE"}
        return kinds.get(option.name.rpartition("_")[2], "PATH")
    return "NAME" if option.kind is str else option.kind.__name__.upper()


def add_method(
    parser: argparse.ArgumentParser,
    names: Sequence[str],
    options: Sequence[Option],
    make: Callable[[str, Mapping[str, Any]], Any],
) -> None:
    """Add ``--method`` and the parameters of the methods; the stage gets them as one ``method``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    names : sequence of str
        Names of the methods.
    options : sequence of seaice.runtime.options.Option
        The parameters.
    make : callable
        ``make(name, parameters)`` returns the method.
    """
    default = parser.get_default("method")
    parser.add_argument(
        "--method",
        choices=list(names),
        required=default is None,
        help="how to fill" + ("" if default is None else " (default %(default)s)"),
    )
    group = parser.add_argument_group("parameters of the methods")
    add_options(group, options)
    for action in group._group_actions:
        # Each method has its own default, so that a parameter without a value is not passed on.
        action.default = argparse.SUPPRESS
    parser.set_defaults(make_method=make, method_parameters=tuple(option.name for option in options))


def _call(
    stage: Stage, options: Mapping[str, Any], names: Sequence[str], make: Callable[..., Any] | None
) -> Report:
    """Call a stage; with ``make``, its ``method`` is made from the options of these names."""
    if make is None:
        return stage(**options)
    parameters = {name: options[name] for name in names if name in options}
    others = {name: value for name, value in options.items() if name not in names}
    return stage(**others | {"method": make(str(options["method"]), parameters)})


def run(
    parser: argparse.ArgumentParser,
    stage: Stage | Commands,
    argv: Sequence[str] | None = None,
    **fixed: Any,
) -> int:
    """Parse the command line, run the stage, print its report.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Parser of :func:`make_parser`; its destinations are the stage's parameters.
    stage : callable, or the mapping given to :func:`add_commands`
        Keyword-only function that returns a :class:`seaice.report.Report`.
    argv : sequence of str, optional
        Words of the command line; ``sys.argv[1:]`` by default.
    **fixed
        Further keyword arguments for the stage that are not options.

    Returns
    -------
    int
        The exit status.
    """
    print_anything()
    options = vars(parser.parse_args(argv))
    every = {name: options.pop(name, None) for name in _NO_STAGE}
    program = parser.prog
    if isinstance(stage, Mapping):
        command = options.pop("command")
        program, stage = f"{program} {command}", stage[command][0]
    for first, last in (("start_date", "end_date"), ("start", "end")):
        start, end = options.get(first), options.get(last)
        if start is not None and end is not None and end < start:
            parser.error(f"--{last} {end} is before --{first} {start}: exchange them")
    make, names = options.pop("make_method", None), options.pop("method_parameters", ())
    work = partial(_call, stage, options | fixed, names, make)
    if every["write_config"]:
        work = partial(_write_config, every["write_config"], program, options)
    verbose, quiet, strict = (bool(every[name]) for name in ("verbose", "quiet", "strict"))
    try:
        with _logging(verbose=verbose, quiet=quiet, file=every["log_file"]):
            logger.debug("%s, seaice %s", program, seaice.__version__)
            # Of a stage with a parameter of that name, or of any other.
            words = [*parser.prog.split(), *(sys.argv[1:] if argv is None else argv)]
            with (
                replace_any_kind(bool(options.get("force") or every["replace"])),
                cf.record_command(words, every["creator"]),
            ):
                return _guarded(work, verbose=verbose, strict=strict)
    except OSError as error:
        parser.error(f"--log_file: {_one_line(error)}")


def print_anything() -> None:
    """Let standard output take every character, escaped where its encoding has none of it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _guarded(work: Callable[[], Report], *, verbose: bool, strict: bool) -> int:
    interrupt = _Interrupt()
    previous = {s: signal.signal(s, interrupt) for s in _stop_signals()}
    try:
        report = work()
        for line in report.lines:
            _print(line, logging.INFO)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _print(f"interrupted: {_AFTER_INTERRUPTION}", logging.ERROR)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; silence the flush at exit too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if verbose:
            logger.exception("failed")
        _print(in_form_of_caller(f"error: {_one_line(error)}"), logging.ERROR)
        return 2 if isinstance(error, OutputRefused) else 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    for line in report.left_out:
        _print(f"left out: {line}", logging.WARNING)
    for line in report.failed:
        _print(f"failed: {line}", logging.ERROR)
    return report.exit_status(strict=strict)


def _print(line: str, level: int) -> None:
    """Print a line to standard output, from warnings on to standard error, and to the log file."""
    line = make_printable(line)
    print(line, file=sys.stderr if level >= logging.WARNING else sys.stdout)
    logger.log(level, "%s", line, extra={"printed": True})


def _stop_signals() -> list[signal.Signals]:
    import threading

    if threading.current_thread() is not threading.main_thread():
        return []
    # A closed tmux session or a batch system's stop shall clean up like Ctrl-C.
    names = ["SIGTERM", "SIGHUP"]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        names.append("SIGINT")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


class _Interrupt:
    """Handler of signals that stop a stage: the first one does, the next ones let it clear up."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count in (1, _PATIENCE):
            raise KeyboardInterrupt
        os.write(2, b"clearing up; unfinished files stay if you interrupt this once more\n")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, InputError):
        return text
    if isinstance(error, OSError):
        if error.errno is None:
            return text
        name = f" {error.filename}" if error.filename else ""
        advice = {
            errno.ENOSPC: "; make space and run the same command again",
            errno.EACCES: "; check the permissions or choose another place",
            errno.EROFS: "; choose another place",
        }.get(error.errno, "")
        return f"{error.strerror}:{name}{advice}" if name else f"{error.strerror}{advice}"
    if isinstance(error, ModuleNotFoundError):
        command = install_command(error.name or "")
        return text if not error.name or command in text else f"{error.name} is not installed: {command}"
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({text}); choose fewer days or a part of the grid"
    return f"{type(error).__name__}: {text} (unexpected; run again with --verbose for the details)"


# Finished days and partial downloads may be kept beside an output, under hidden names.
_AFTER_INTERRUPTION = "every output is whole or as it was before; run the same command again to go on"

# Signals after which clearing up is broken off.
_PATIENCE = 3


class _PrintableFormatter(logging.Formatter):
    """Writes every record as one line that only its own text can be in; a traceback follows."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = make_printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        # Indented: no line of a message can pass for a record.
        return "\n".join(f"  {make_printable(x)}" for x in super().formatException(ei).split("\n"))


@contextmanager
def _logging(*, verbose: bool, quiet: bool, file: Path | None) -> Iterator[None]:
    """Log lines of the package to standard error, with UTC times, while a script runs."""
    level = logging.DEBUG if verbose else logging.INFO
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.WARNING if quiet else level)
    console.addFilter(lambda record: not hasattr(record, "printed"))
    handlers: list[logging.Handler] = [console]
    if file is not None:
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
    formatter = _PrintableFormatter(
        "%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ"
    )
    formatter.converter = time.gmtime
    before = logger.level, logger.propagate, Progress.shows_bar
    for handler in handlers:
        handler.setFormatter(formatter)
        logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate, Progress.shows_bar = False, not quiet
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(before[0])
        logger.propagate, Progress.shows_bar = before[1:]
