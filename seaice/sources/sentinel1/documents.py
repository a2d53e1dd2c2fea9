"""XML documents of a product: annotation, calibration, noise, manifest."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np

from seaice import InputError

_DOWNLOAD = "download the product again"


class Document:
    """Element of an XML document, with reading of what is below it.

    Parameters
    ----------
    element : Element
    name : str
        Name of the document, for messages.
    """

    def __init__(self, element: ElementTree.Element, name: str) -> None:
        self._element, self.name = element, name

    @classmethod
    def parse(cls, content: bytes, name: str) -> Document:
        """Parse a document.

        Documents that declare types or entities, by which a few bytes can become gigabytes, are refused.

        Raises
        ------
        InputError
            If it is no XML, or has a DOCTYPE.
        """
        # No other encoding hides a DOCTYPE: expat reads UTF-8, Latin-1 and UTF-16, which has zero bytes.
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\0" in content:
            raise InputError(f"expected XML without DOCTYPE, found one in {name}; {_DOWNLOAD}")
        try:
            return cls(ElementTree.fromstring(content), name)
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise InputError(f"expected XML in {name}, found {error}; {_DOWNLOAD}") from None

    def list_elements(self, path: str) -> list[Document]:
        """List the elements at a path such as ``a/b``, in the order of the document."""
        return [Document(element, self.name) for element in self._element.findall(path)]

    def iterate_software(self) -> Iterator[tuple[str, str]]:
        """Name and version of every element ``software`` of a manifest."""
        for element in self._element.iter():
            if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == "software":
                yield element.get("name", ""), element.get("version", "")

    def find_text(self, path: str) -> str | None:
        """Text at a path, None if there is no such element."""
        text = self._element.findtext(path)
        return None if text is None else text.strip()

    def read_text(self, path: str) -> str:
        """Read the text at a path.

        Raises
        ------
        InputError
            If there is no such element, or it is empty.
        """
        text = self.find_text(path)
        if not text:
            raise InputError(f"expected {path} in {self.name}, found none; {_DOWNLOAD}")
        return text

    def read_numbers(self, path: str) -> np.ndarray:
        """Read the numbers at a path, float64 (n,), at least one, all finite.

        Raises
        ------
        InputError
            If there are none, or a text is no number.
        """
        text = self.read_text(path)
        try:
            numbers = np.array(text.split(), np.float64)
        except ValueError:
            numbers = np.array([np.nan])
        if not np.isfinite(numbers).all():
            raise InputError(
                f"expected numbers in {path} of {self.name}, found {text[:40]!r}; {_DOWNLOAD}"
            )
        return numbers

    def read_number(self, path: str) -> float:
        """Read the only number at a path; raises InputError where there is another count."""
        numbers = self.read_numbers(path)
        if numbers.size != 1:
            raise InputError(
                f"expected one number in {path} of {self.name}, found {numbers.size}; {_DOWNLOAD}"
            )
        return float(numbers[0])

    def read_integer(self, path: str) -> int:
        """Read the only number at a path, as a whole number."""
        return round(self.read_number(path))
