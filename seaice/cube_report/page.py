"""A self-contained HTML page: headings, tables and pictures, readable on a phone and in print."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from seaice.report import make_printable

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 0 auto;
  max-width: 62rem; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem;
  border-bottom: 1px solid #c9d2dc; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; }
figcaption, .note { color: #4a5564; font-size: .9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e4e8ed; font-variant-numeric: tabular-nums; }
th { vertical-align: bottom; } .number { text-align: right; }
td.number, td.short { white-space: nowrap; }
summary { cursor: pointer; } .alarm { border-left: 4px solid #b3261e; padding-left: .8rem; }
@media (max-width: 45rem) { .wide img { max-width: none; width: 46rem; } }
@media print { body { max-width: none; font-size: 10pt; padding: 0; } table { font-size: 8pt; }
  h2, figure, tr { break-inside: avoid; } h2 { break-after: avoid; } .wide { overflow: visible; }
  .wide img { max-width: 100%; width: auto; max-height: 24cm; } figure > img { max-height: 13cm; } }
"""

# Characters of a cell of a table that stay on one line, and of any text.
_LONGEST_UNBROKEN, _LONGEST_TEXT = 28, 2000


@dataclass
class Page:
    """The page as it grows; every text is escaped, and cut where it is very long.

    Attributes
    ----------
    title : str
    parts : list of str
        HTML of the elements of the body.

    Examples
    --------
    >>> page = Page("A <cube>")
    >>> page.add_text("50 % & more")
    >>> "<h1>A &lt;cube&gt;</h1>" in page.render(), "<p>50 % &amp; more</p>" in page.render()
    (True, True)
    """

    title: str
    parts: list[str] = field(default_factory=list)

    def add_heading(self, text: str) -> None:
        """Add the heading of a section."""
        self.parts.append(f"<h2>{_write(text)}</h2>")

    def add_text(self, text: str, *, kind: str = "") -> None:
        """Add a paragraph; ``kind`` is ``note`` or ``alarm``."""
        style = f' class="{_write(kind)}"' if kind else ""
        self.parts.append(f"<p{style}>{_write(text)}</p>")

    def add_list(self, lines: Iterable[str]) -> None:
        """Add a list."""
        self.parts.append("<ul>" + "".join(f"<li>{_write(line)}</li>" for line in lines) + "</ul>")

    def add_picture(self, png: bytes, caption: str, *, is_wide: bool = True) -> None:
        """Add a picture with its caption, which is what a screen reader says of it too.

        On a narrow screen a wide one keeps a legible size, and is moved sideways.
        """
        text = _write(caption)
        image = f'<img alt="{text}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        if is_wide:
            image = f'<div class="wide" tabindex="0">{image}</div>'
        self.parts.append(f"<figure>{image}<figcaption>{text}</figcaption></figure>")

    def add_table(
        self, header: Sequence[str], rows: Iterable[Sequence[str]], *, folded: str | None = None
    ) -> None:
        """Add a table; with ``folded``, under a line that a click unfolds.

        Columns in which no row has a text are left out; a row may be shorter than the header.
        """
        padded = [[*row, *[""] * (len(header) - len(row))] for row in rows]
        columns = list(zip(*padded, strict=True)) or [("",)] * len(header)
        chosen = [i for i, column in enumerate(columns) if any(column) or not padded]
        head = "".join(_head(header[i], columns[i]) for i in chosen)
        body = "".join(f"<tr>{''.join(_cell(row[i]) for i in chosen)}</tr>" for row in padded)
        table = (
            f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
        if folded is not None:
            table = f"<details><summary>{_write(folded)}</summary>{table}</details>"
        self.parts.append(table)

    def render(self) -> str:
        """The whole page."""
        title = _write(self.title)
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            # By which an earlier report is recognised (seaice.runtime.output_kinds).
            '<meta name="generator" content="seaice report">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            f"style-src 'unsafe-inline'\"><title>{title}</title><style>{_STYLE}</style></head>"
            f"<body><main><h1>{title}</h1>\n" + "\n".join(self.parts) + "\n</main></body></html>\n"
        )


def _write(text: str) -> str:
    """A text as HTML: nothing in it is an element, a control character or endless."""
    rest = len(text) - _LONGEST_TEXT
    if rest > 0:
        text = f"{text[:_LONGEST_TEXT]} ... and {rest} characters more"
    return escape(make_printable(text))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?( %)?", text) is not None


def _head(text: str, column: Sequence[str]) -> str:
    is_number = any(column) and all(_is_number(cell) for cell in column if cell)
    kind = ' class="number"' if is_number else ""
    return f'<th scope="col"{kind}>{_write(text)}</th>'


def _cell(text: str) -> str:
    kind = "number" if _is_number(text) else "short" if len(text) <= _LONGEST_UNBROKEN else ""
    return f'<td class="{kind}">{_write(text)}</td>' if kind else f"<td>{_write(text)}</td>"
