"""A self-contained HTML page: headings, tables and pictures, readable on a phone and in print."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 0 auto;
  max-width: 62rem; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem;
  border-bottom: 1px solid #c9d2dc; }
img { max-width: 100%; height: auto; } figure { margin: 1rem 0; }
figcaption, .note { color: #4a5564; font-size: .9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e4e8ed; font-variant-numeric: tabular-nums; }
td.number { text-align: right; } code { font-size: .85rem; }
summary { cursor: pointer; } .alarm { border-left: 4px solid #b3261e; padding-left: .8rem; }
@media print { body { max-width: none; font-size: 11pt; } h2, figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; } a { color: inherit; } }
"""


@dataclass
class Page:
    """The page as it grows; every text is escaped.

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
        self.parts.append(f"<h2>{escape(text)}</h2>")

    def add_text(self, text: str, *, kind: str = "") -> None:
        """Add a paragraph; ``kind`` is ``note`` or ``alarm``."""
        style = f' class="{escape(kind)}"' if kind else ""
        self.parts.append(f"<p{style}>{escape(text)}</p>")

    def add_list(self, lines: Iterable[str]) -> None:
        """Add a list."""
        self.parts.append("<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>")

    def add_picture(self, png: bytes, caption: str) -> None:
        """Add a picture with its caption, which is what a screen reader says of it too."""
        text = escape(caption)
        data = base64.b64encode(png).decode()
        self.parts.append(
            f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
            f"<figcaption>{text}</figcaption></figure>"
        )

    def add_table(
        self, header: Sequence[str], rows: Iterable[Sequence[str]], *, folded: str | None = None
    ) -> None:
        """Add a table; with ``folded``, under a line that a click unfolds."""
        head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        table = (
            f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
        if folded is not None:
            table = f"<details><summary>{escape(folded)}</summary>{table}</details>"
        self.parts.append(table)

    def render(self) -> str:
        """The whole page."""
        title = escape(self.title)
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            # By which an earlier report is recognised (seaice.runtime.output_kinds).
            '<meta name="generator" content="seaice report">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            f"style-src 'unsafe-inline'\"><title>{title}</title><style>{_STYLE}</style></head>"
            f"<body><main><h1>{title}</h1>\n" + "\n".join(self.parts) + "\n</main></body></html>\n"
        )


def _cell(text: str) -> str:
    is_number = re.fullmatch(r"-?\d+(\.\d+)?( %)?", text)
    return f'<td class="number">{escape(text)}</td>' if is_number else f"<td>{escape(text)}</td>"
