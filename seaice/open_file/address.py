"""Addresses of Zarr groups on servers, ``https://...`` and ``s3://...``, opened through fsspec.

They are read lazily: only the metadata and the chunks that are asked for are fetched. User names,
passwords and tokens of an address stay out of every text.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import parse_qsl, urlsplit

from seaice import InputError
from seaice.settings import install_command

if TYPE_CHECKING:
    from zarr.abc.store import Store

# Path("https://host") has one slash.
_ADDRESS = re.compile(r"(https?|s3):/+(.+)", re.DOTALL)
_METADATA: dict[str, Literal[2, 3]] = {"zarr.json": 3, ".zmetadata": 2, ".zgroup": 2}
# Variables to look for in a group that neither lists its members nor is on a server that does.
_USUAL_NAMES = (
    "time", "y", "x", "yc", "xc", "lat", "lon", "crs", "sea_ice_conc", "ice_conc", "siconc", "sic",
    "cdr_seaice_conc", "fill_flag", "surface", "land_mask", "sea_ice_conc_error", "days_back_forward",
    "day_status", "freeboard_mean", "brightness_temperature",
)  # fmt: skip
_NAMING = ("coordinates", "grid_mapping", "bounds", "ancillary_variables")
_TRIES, _PAUSE = 3, 0.5  # of a chunk that a server fails to send; seconds, doubled each time
_CONNECT_SECONDS, _SILENCE_SECONDS = 20, 120


@dataclass(frozen=True)
class Address:
    """Address of a Zarr group on a server; what a folder can be asked for, it can be asked for too.

    Attributes
    ----------
    url : str
        With what it may hold of a login, which :func:`str` leaves out.
    """

    url: str = field(repr=False)

    @property
    def protocol(self) -> str:
        """The word before the colon."""
        return urlsplit(self.url).scheme

    @property
    def root(self) -> str:
        """The address without a query."""
        return urlsplit(self.url)._replace(query="", fragment="").geturl().rstrip("/")

    @property
    def name(self) -> str:
        """Last part of the address."""
        return PurePosixPath(urlsplit(self.url).path).name

    @property
    def stem(self) -> str:
        """Name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Ending of the name."""
        return PurePosixPath(self.name).suffix

    def absolute(self) -> Address:
        """Return the address itself."""
        return self

    def exists(self) -> bool:
        """Whether it may be opened: only opening it can tell."""
        return True

    def is_dir(self) -> bool:
        """Whether it is a group, as all addresses are."""
        return True

    def is_file(self) -> bool:
        """Whether it is a single file, as no address is."""
        return False

    def __str__(self) -> str:
        return hide_secrets(self.url)


Place = Path | Address


def locate(path: Path | str | Address) -> Place:
    """Return a path as such, or the address that a text or a path stands for.

    Examples
    --------
    >>> str(locate(Path("https://host/cube.zarr"))), str(locate("cube.zarr"))
    ('https://host/cube.zarr', 'cube.zarr')
    >>> str(locate("https://me:secret@host/cube.zarr?token=secret"))
    'https://host/cube.zarr?...'
    """
    if isinstance(path, Address):
        return path
    parts = _ADDRESS.fullmatch(str(path))
    return Address(f"{parts[1]}://{parts[2].rstrip('/')}") if parts else Path(path)


def hide_secrets(text: str) -> str:
    """Return a text without the logins and the queries of addresses in it."""
    text = re.sub(r"//[^/@\s]*@", "//", text)
    return re.sub(r"(\w+://[^\s?'\"]*)\?[^\s'\")]*", r"\1?...", text)


def find_zarr_format(path: Place) -> Literal[2, 3] | None:
    """Find the version of the Zarr group in a folder or at an address; None if a folder holds none.

    Raises
    ------
    InputError
        If there is none at an address, or it cannot be reached.
    """
    if isinstance(path, Address):
        return _read_root(path)[0]
    names = (name for name in _METADATA if (path / name).is_file())
    return next((_METADATA[name] for name in names), None)


def digest_metadata(address: Address) -> bytes:
    """Return a digest of the metadata at the root of a group, by which another group is noticed."""
    return hashlib.sha256(_read_root(address)[1]).digest()


def open_store(address: Address) -> Store:
    """Open an address as a store of zarr-python, for reading.

    Raises
    ------
    InputError
        If there is no group, it cannot be reached, or its variables cannot be found.
    """
    zarr_format, _, is_consolidated = _read_root(address)
    with _explain(address):
        from zarr.storage import FsspecStore

        options: dict[str, Any] = {"asynchronous": True, **_list_options(address)}
        store = FsspecStore.from_url(address.root, storage_options=options, read_only=True)
    names: list[str] | None = None
    if not is_consolidated and address.protocol != "s3":
        names = _find_members(address, zarr_format)
    return cast("Store", _make_store_class()(store, names))


def _read_root(address: Address) -> tuple[Literal[2, 3], bytes, bool]:
    """Read the metadata of a group: version, text, and whether they list all its members."""
    with _explain(address):
        for name, zarr_format in _METADATA.items():
            content = _fetch(address, name)
            if content is not None:
                holds_all = name == ".zmetadata"
                if name == "zarr.json":
                    root = _parse(content)
                    if root.get("node_type") != "group":
                        raise InputError(f"expected a Zarr group, found no group at {address}")
                    holds_all = bool(root.get("consolidated_metadata"))
                return zarr_format, content, holds_all
    raise InputError(
        f"no Zarr group at {address}: the server has neither zarr.json nor .zgroup there; check the "
        "address, or fetch the file first if it is no Zarr group"
    )


def _parse(content: bytes) -> dict[str, Any]:
    parsed = json.loads(content)
    return parsed if isinstance(parsed, dict) else {}


def _fetch(address: Address, name: str) -> bytes | None:
    """Fetch a small file of a group; None if there is none."""
    import fsspec

    filesystem = fsspec.filesystem(address.protocol, **_list_options(address))
    try:
        return bytes(filesystem.cat_file(f"{address.root}/{name}"))
    except FileNotFoundError:
        return None


def _list_options(address: Address) -> dict[str, Any]:
    """List the options with which fsspec opens a kind of address."""
    if address.protocol == "s3":
        import s3fs  # noqa: F401, a clear error where it is not installed

        return {}
    import aiohttp

    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS
    )
    # What follows a question mark, such as a token, belongs to every request.
    query = dict(parse_qsl(urlsplit(address.url).query))
    return {"client_kwargs": {"timeout": timeout}, **({"params": query} if query else {})}


def _find_members(address: Address, zarr_format: Literal[2, 3]) -> list[str]:
    """Find the arrays of a group whose metadata do not list them: by the server, or by name."""
    ending = "/zarr.json" if zarr_format == 3 else "/.zarray"
    with _explain(address):
        waiting = list(dict.fromkeys([*_list_folder(address), *_USUAL_NAMES]))
        is_array_by_name: dict[str, bool] = {}
        while waiting:
            name = waiting.pop(0)
            if name in is_array_by_name:
                continue
            content = _fetch(address, name + ending)
            is_array_by_name[name] = content is not None
            if content is not None:
                waiting += _list_named(address, name, _parse(content), zarr_format)
    names = [name for name, is_array in is_array_by_name.items() if is_array]
    if not names:
        raise InputError(
            f"{address} does not list its variables, and neither does the server; consolidate its "
            "metadata (zarr.consolidate_metadata)"
        )
    return names


def _list_folder(address: Address) -> list[str]:
    """List what a server lists of a folder."""
    import fsspec

    filesystem = fsspec.filesystem(address.protocol, **_list_options(address))
    try:
        listed = filesystem.ls(address.root, detail=False)
    except Exception:  # a server need not list folders, and refuses in many ways
        return []
    names = (PurePosixPath(urlsplit(str(url)).path).name for url in listed)
    return [name for name in names if name and not name.startswith(".") and "." not in name]


def _list_named(
    address: Address, name: str, metadata: dict[str, Any], zarr_format: Literal[2, 3]
) -> Iterable[str]:
    """List the variables that an array names: its dimensions, and what its attributes point to."""
    attributes = metadata.get("attributes", {})
    dimensions = metadata.get("dimension_names") or []
    if zarr_format == 2:
        attributes = _parse(_fetch(address, f"{name}/.zattrs") or b"{}")
        dimensions = attributes.get("_ARRAY_DIMENSIONS", [])
    words = " ".join(str(attributes.get(key, "")) for key in _NAMING)
    return [*map(str, dimensions), *words.replace(":", " ").split()]


@contextmanager
def _explain(address: Address) -> Iterator[None]:
    """Turn what libraries raise about an address into one clear line."""
    try:
        yield
    except InputError:
        raise
    except ModuleNotFoundError as error:
        package = "s3fs" if address.protocol == "s3" else "aiohttp"
        raise InputError(f"opening {address} needs {error.name}: {install_command(package)}") from None
    except Exception as error:
        raise InputError(_describe_failure(address, error)) from None


def _describe_failure(address: Address, error: Exception) -> str:
    status = getattr(error, "status", None)
    reason = hide_secrets(" ".join(str(error).split()))[:200] or type(error).__name__
    if status in (401, 403) or isinstance(error, PermissionError):
        return f"{address} may not be read ({status or reason}); check the address and your account"
    if status is not None:
        return f"the server of {address} answers {status}; try again later"
    if type(error).__name__ == "NoCredentialsError":
        return (
            f"{address} needs an account, and none is set; for public data set FSSPEC_S3_ANON=true "
            "in the environment"
        )
    if isinstance(error, ValueError):
        return f"{address} holds no readable Zarr metadata ({reason})"
    return f"{address} cannot be reached ({reason}); check the address and the network"


def _make_store_class() -> type:
    """Make the class of stores at addresses; zarr-python is imported only where it is needed."""
    from zarr.storage import WrapperStore

    class AddressStore(WrapperStore):  # type: ignore[type-arg]
        """Store that tries again, names no secret in its errors, and knows its members."""

        def __init__(self, store: Any, names: list[str] | None = None) -> None:
            super().__init__(store)
            self._names = names

        def _with_store(self, store: Any) -> AddressStore:
            return type(self)(store, self._names)

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            for number in range(_TRIES):
                try:
                    return await self._store.get(key, prototype, byte_range)
                except Exception as error:
                    status = getattr(error, "status", None)
                    if number + 1 == _TRIES or (status is not None and status < 500):
                        reason = hide_secrets(" ".join(str(error).split()))[:200]
                        raise OSError(f"{key}: {reason or type(error).__name__}") from None
                await asyncio.sleep(_PAUSE * 2**number)
            raise AssertionError("unreachable")

        async def list_dir(self, prefix: str) -> AsyncIterator[str]:
            if self._names is None or prefix.strip("/"):
                async for name in self._store.list_dir(prefix):
                    yield name
                return
            for name in self._names:
                yield name

    return AddressStore
