"""What every script shares: parser, dates, logging, exit status.

The only module of the package that knows argparse and the process: it prints,
sets up logging and turns errors into exit statuses (0 all done, 1 something
failed or is missing, 2 wrong usage, 130 interrupted).
"""

from __future__ import annotations

import argparse
import errno
import getpass
import inspect
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from seaice import InputError
from seaice.dates import (
    parse_date,
    parse_timestamp,
)
from seaice.report import Report
from seaice.settings import install_command

logger = logging.getLogger("seaice")

Stage = Callable[..., Report]
Commands = Mapping[str, tuple[Stage, str]]


class _Parser(argparse.ArgumentParser):
    """Accepts ``--start-date`` for ``--start_date`` and no abbreviations."""

    def format_help(self) -> str:
        return in_form_of_caller(super().format_help())

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(_with_underscores(words), namespace)


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
    """Text with ``seaice create-mask`` for ``python create_mask.py`` where that is what runs."""
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


def add_commands(parser: argparse.ArgumentParser, commands: Commands) -> list[argparse.ArgumentParser]:
    """Give a script subcommands, each with a stage function of its own.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        From :func:`make_parser`, made without a stage.
    commands : mapping of str to (callable, str)
        Stage and one line of help of every subcommand.

    Returns
    -------
    list of argparse.ArgumentParser
        Of the subcommands, in order; options are added to them.
    """
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
    parser.add_argument(
        "--verbose",
        action="store_true",
        default=argparse.SUPPRESS,
        help="debug messages, and tracebacks of errors",
    )
    if stage is not None:
        parameters = inspect.signature(stage).parameters.values()
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
        help="share the days among the workers of this dask.distributed scheduler; «local» starts "
        "--workers of them here",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a field is read (:class:`seaice.fields.open.Reading`)."""
    add = parser.add_argument
    add("--input_file", type=Path, required=True, metavar="FILE", help="NetCDF file or Zarr group")
    add("--variable", metavar="NAME", help="needed if the file holds several fields")
    add("--mask_file", type=Path, metavar="FILE", help="land and sea (default: that of the input)")
    add("--mask_variable", metavar="NAME", help="its variable")
    add("--mask_means", choices=["sea", "land"], help="what 1 is, where the file does not tell")
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
        help="anything else is missing (default: what the file says)",
    )
    add("--concentration", action="store_true", help="it is ice concentration, HIGH being full ice")
    add_period(parser, required=False)


class _StoreParameter(argparse.Action):
    """Collects options in one dictionary, so that those not given are not in it."""

    def __call__(self, parser, namespace, values, option_string=None):  # type: ignore[no-untyped-def, override]
        name = str(option_string).lstrip("-")
        before = getattr(namespace, self.dest, None) or {}
        setattr(namespace, self.dest, {**before, name: True if self.nargs == 0 else values})


def add_parameters(parser: argparse.ArgumentParser, title: str, options: Sequence[Any]) -> None:
    """Add options that reach the stage as one dictionary ``parameters``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    title : str
        Of the group in the help.
    options : sequence of seaice.gapfill.field.options.Option
    """
    group = parser.add_argument_group(title)
    for option in options:
        how: dict[str, Any] = {"nargs": 0}
        if option.kind is not bool:
            how = {"type": option.kind, "metavar": option.kind.__name__.upper()}
        if option.choices:
            how = {"choices": option.choices}
        text = option.text.replace("%", "%%")
        group.add_argument(
            f"--{option.name}", action=_StoreParameter, dest="parameters", help=text, **how
        )
    parser.set_defaults(parameters={})


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
        From :func:`make_parser`; its destinations are the stage's parameters.
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
    options = vars(parser.parse_args(argv))
    verbose = options.pop("verbose", False)
    if isinstance(stage, Mapping):
        stage = stage[options.pop("command")][0]
    work = partial(stage, **(options | fixed))
    for first, last in (("start_date", "end_date"), ("start", "end")):
        start, end = options.get(first), options.get(last)
        if start is not None and end is not None and end < start:
            parser.error(f"--{last} {end} is before --{first} {start}: exchange them")
    with _logging(verbose=verbose):
        return _guarded(work, verbose=verbose)


def _guarded(work: Callable[[], Report], *, verbose: bool) -> int:
    previous = {s: signal.signal(s, _interrupt) for s in _stop_signals()}
    try:
        report = work()
        for line in report.lines:
            print(line)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted: no half-made output is left; run the same command again", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; silence the flush at exit too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if verbose:
            logger.exception("failed")
        print(in_form_of_caller(f"error: {_one_line(error)}"), file=sys.stderr)
        return 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    for line in report.failed:
        print(f"failed: {line}", file=sys.stderr)
    return report.status


def _stop_signals() -> list[signal.Signals]:
    import threading

    if threading.current_thread() is not threading.main_thread():
        return []
    # A closed tmux session or a batch system's stop shall clean up like Ctrl-C.
    return [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


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
        return text if not error.name or command in text else f"{text}: {command}"
    return f"{type(error).__name__}: {text} (unexpected; run again with --verbose for the details)"


@contextmanager
def _logging(*, verbose: bool) -> Iterator[None]:
    """Log lines of the package to standard error, with UTC times, while a script runs."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
