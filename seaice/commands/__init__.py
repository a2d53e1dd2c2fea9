"""A parser and a main for each stage: what the scripts and the command ``seaice`` share.

The stage ``seaice create-mask`` is the module ``create_mask`` of this folder: its docstring is the
help, and its first line is what the list of stages says.
"""

import argparse
import ast
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType

import seaice
from seaice.settings import explain_installation


def check_installation() -> None:
    """End with one line if no stage can run here."""
    problem = explain_installation()
    if problem:
        sys.exit(f"error: {problem}")


def _report_interruption(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say in one line what stopped the program while its parts were loaded."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted: nothing was begun\n")
    elif isinstance(error, ImportError):
        text = " ".join(str(error).split())
        package = f"{error.name.partition('.')[0]} cannot" if error.name else "a package cannot"
        sys.stderr.write(f"error: {package} be imported ({text}); install it again\n")
    else:
        sys.__excepthook__(kind, error, trace)


if sys.excepthook is sys.__excepthook__:  # not in a notebook or a debugger
    sys.excepthook = _report_interruption
# Before a stage is imported, which would end with a traceback.
check_installation()


def list_stages() -> dict[str, str]:
    """One line about every stage, by its name; no stage is imported."""
    docstrings = {
        path.stem.replace("_", "-"): ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(Path(__file__).parent.glob("[!_]*.py"))
    }
    return {name: str(text).partition("\n")[0].removesuffix(".") for name, text in docstrings.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage that the first word names; return the exit status."""
    # Not before the installation was checked.
    from seaice.cli import print_anything

    print_anything()
    words = list(sys.argv[1:] if argv is None else argv)
    stages = list_stages()
    parser = argparse.ArgumentParser(
        prog="seaice",
        usage="seaice STAGE [options]",
        description=str(seaice.__doc__).partition("\n")[0],
        epilog="Stages\n"
        + "".join(f"  {name}\n      {text}\n" for name, text in stages.items())
        + "\nseaice STAGE --help shows the options of a stage.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"seaice {seaice.__version__}")
    if not words or words[0].startswith("-"):
        nearest = difflib.get_close_matches(
            words[0] if words else "-h", ("-h", "--help", "--version"), 1
        )
        if nearest and words and words[0] != nearest[0]:
            parser.error(f"{words[0]}: no such option; did you mean {nearest[0]}?")
        parser.parse_args(words)
        parser.print_help()
        return 0
    name = words[0].replace("_", "-")
    if name not in stages:
        nearest = difflib.get_close_matches(name, stages, n=1, cutoff=0)
        parser.error(f"{words[0]}: no such stage; did you mean {nearest[0]}?")
    # The stage reads its words and its name where a script reads them.
    sys.argv = [f"seaice {name}", *words[1:]]
    status: int = import_module(f"seaice.commands.{name.replace('-', '_')}").main()
    return status
