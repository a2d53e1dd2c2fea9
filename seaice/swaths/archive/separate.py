"""Archives of older programs with an array of its own for every swath.

An npz file with the members ``temperature_0``, ``temperature_1``, ... (kelvin or counts), with positions
``latitude_0``, ``longitude_0``, ..., and pickled metadata: one array for all swaths, or one for each.
They are read, never written: parts and repaired copies have the classic layout.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.sources.amsr2.swath import Swath, from_parts
from seaice.swaths.archive.base import LARGEST_ARRAY, LARGEST_INDEX, MOST_SWATHS, SwathArchive
from seaice.swaths.archive.classic import MEMBER, read_npy_header, read_npy_text, to_json
from seaice.swaths.archive.spill import SpillFile
from seaice.swaths.archive.unpickling import SafeUnpickler
from seaice.swaths.archive.zip_file import ZipReader

_TEMPERATURE = re.compile(r"temperature(_\d{1,6})?\.npy")
_QUANTITIES = ("temperature", "latitude", "longitude", "scan_times")


def holds_separate_arrays(path: Path, *, salvage: bool) -> bool:
    """Whether a file is a zip file of this layout; what is none is reported by who opens it."""
    try:
        reader = ZipReader(path, salvage=salvage)
    except InputError:
        return False
    reader.close()
    return MEMBER not in reader.members and any(map(_TEMPERATURE.fullmatch, reader.members))


class SeparateArchive(SwathArchive):
    """An archive with separate arrays; each is read when it is asked for.

    Parameters
    ----------
    path : Path
    salvage : bool
        Where the directory of the file is lost, look for its members.

    Raises
    ------
    InputError
        If the file is damaged, or the metadata ask for anything else than arrays, numbers, texts and
        plain containers.
    """

    layout = "separate_arrays"

    def __init__(self, path: Path, *, salvage: bool = False) -> None:
        self.path, self._salvage = path, salvage
        self._zip = ZipReader(path, salvage=salvage)
        self.damage = self._zip.damage
        try:
            matches = [match for name in self._zip.members if (match := _TEMPERATURE.fullmatch(name))]
            endings = [match[1] or "" for match in matches]
            self._endings = sorted(endings, key=lambda ending: int(ending[1:] or 0))
            if len(endings) > MOST_SWATHS:
                raise InputError(f"expected at most {MOST_SWATHS} swaths, found {len(endings)}: {path}")
            self.info = self._read_info()
            self.entries = self._read_metadata()
        except BaseException:
            self.close()
            raise

    def _read_info(self) -> dict[str, Any]:
        try:
            return {"period": read_npy_text(self._zip.read("period.npy", limit=LARGEST_INDEX), "period")}
        except (KeyError, InputError):
            return {}

    def _read_metadata(self) -> list[dict[str, Any]]:
        """The metadata of every swath, from the one array that has them in order, or from its own."""
        shared: list[Any] = []
        by_ending: dict[str, Any] = {}
        for name in self._zip.members:
            ending = next((e for e in self._endings if e and name.endswith(f"{e}.npy")), "")
            if "metadata" in name:
                items = self._unpickle(name)
                if ending:
                    by_ending[ending] = items[0] if items else {}
                else:
                    shared = items
        entries = [by_ending.get(ending) for ending in self._endings] if by_ending else shared
        entries += [{}] * (len(self._endings) - len(entries))
        return [entry if isinstance(entry, dict) else {} for entry in entries[: len(self._endings)]]

    def _unpickle(self, name: str) -> list[Any]:
        spill = SpillFile()
        try:
            with self._zip.stream(name) as stream:
                if not read_npy_header(stream, f"{name} in {self.path}")[1].hasobject:
                    return []
                value = SafeUnpickler(stream, spill).load()
            return list(to_json(value if isinstance(value, list) else [value], [spill.most_values]))
        except InputError as error:
            text = str(error)
            raise type(error)(text if str(self.path) in text else f"{text}: {self.path}") from None
        except RecursionError:
            raise InputError(f"damaged: metadata within metadata without end: {self.path}") from None
        finally:
            spill.close()

    def _read(self, index: int) -> Swath:
        ending = self._endings[index]
        names = {quantity: f"{quantity}{ending}.npy" for quantity in _QUANTITIES}
        arrays = {
            quantity: self._read_array(name)
            for quantity, name in names.items()
            if name in self._zip.members
        }
        return from_parts(self.entries[index], _drop_empty(arrays))

    def _read_array(self, name: str) -> np.ndarray:
        file = io.BytesIO(self._zip.read(name, limit=LARGEST_ARRAY))
        label = f"{name} in {self.path}"
        shape, dtype = read_npy_header(file, label)
        if dtype.hasobject or dtype.itemsize * math.prod(shape) != len(file.getbuffer()) - file.tell():
            raise InputError(f"expected an array of numbers, found {dtype} {shape}: {label}")
        file.seek(0)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __reduce__(self) -> Any:  # a worker process opens the file again
        return partial(SeparateArchive, salvage=self._salvage), (self.path,)


def _drop_empty(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a swath without positions that hold no number, as where there were none."""
    return {name: values for name, values in arrays.items() if name == "temperature" or values.size}
