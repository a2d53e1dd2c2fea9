"""Directive ``stage-options``: the help of a stage, from its parser."""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

WIDTH = "96"


def parser_of(stage: str) -> argparse.ArgumentParser:
    """Parser of a stage such as ``consolidate-data``, or of a command of it, ``fill-gaps score``."""
    name, *command = stage.split()
    parser: argparse.ArgumentParser = import_module(
        f"seaice.commands.{name.replace('-', '_')}"
    ).build_parser()
    for word in command:
        choices = next(a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        parser = choices[word]
    parser.prog = f"seaice {stage}"
    return parser


class StageOptions(Directive):
    """Usage and options of a stage; the description and the examples are left to the page."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, object]] = {}

    def run(self) -> list[nodes.Node]:
        """Put the help as it is printed."""
        parser = parser_of(self.arguments[0])
        parser.description = parser.epilog = None
        before = os.environ.get("COLUMNS")
        os.environ["COLUMNS"] = WIDTH
        try:
            text = parser.format_help()
        finally:
            os.environ.pop("COLUMNS")
            if before is not None:
                os.environ["COLUMNS"] = before
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("stage-options", StageOptions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
