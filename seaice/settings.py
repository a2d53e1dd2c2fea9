"""Folders, hosts and accounts from the environment, and how optional packages are installed.

An option of the command line wins over an environment variable, which wins over the default.
Nothing happens on import; each function looks at the environment when it is called.
"""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path


def data_dir() -> Path:
    """Folder of downloaded files: ``SEAICE_DATA_DIR``, else ``./data``."""
    return Path(os.environ.get("SEAICE_DATA_DIR", "data"))


def bremen_hosts() -> list[str]:
    """Hosts of the Bremen archive in order: ``SEAICE_BREMEN_HOSTS`` (blank-separated), else none.

    An empty list means the hosts the package knows.
    """
    return os.environ.get("SEAICE_BREMEN_HOSTS", "").split()


def gportal_account() -> tuple[str | None, str | None]:
    """User name and password of JAXA G-Portal: ``GPORTAL_USERNAME``, ``GPORTAL_PASSWORD``."""
    return os.environ.get("GPORTAL_USERNAME") or None, os.environ.get("GPORTAL_PASSWORD") or None


def gportal_host_key() -> str | None:
    """Fingerprint of the SFTP server of G-Portal that is accepted: ``GPORTAL_HOST_KEY``."""
    return os.environ.get("GPORTAL_HOST_KEY") or None


def catalogue_token() -> str | None:
    """Token of the account of a STAC catalogue: ``SEAICE_STAC_TOKEN``."""
    return os.environ.get("SEAICE_STAC_TOKEN") or None


# Packages without which nothing runs, by the names that are imported.
REQUIRED = (
    "contourpy",
    "google_crc32c",
    "h5py",
    "isal",
    "matplotlib",
    "netCDF4",
    "numba",
    "numcodecs",
    "numpy",
    "pandas",
    "PIL",
    "pyproj",
    "yaml",
    "requests",
    "scipy",
    "tqdm",
    "urllib3",
    "xarray",
    "zarr",
)


def explain_installation() -> str:
    """One line about what this Python lacks to run any stage, and what to type; empty if nothing."""
    if sys.version_info < (3, 11):  # noqa: UP036, an older one comes as far as this line
        return f"Python 3.11 or newer is needed, found {sys.version.split()[0]}: {sys.executable}"
    if os.name != "posix":
        return "Linux or macOS is needed; on Windows install and run the toolbox within WSL"
    missing = [name for name in REQUIRED if find_spec(name) is None]
    if not missing:
        return ""
    root = Path(__file__).resolve().parent.parent
    advice = "python -m pip install ."
    if (root / "pyproject.toml").is_file():
        advice = f"python -m pip install {shlex.quote(str(root))}"
    if (root / ".venv" / "bin" / "activate").is_file():
        advice = f"source {shlex.quote(str(root / '.venv' / 'bin' / 'activate'))}"
    names = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
    return f"{names} not installed for {sys.executable}; type: {advice}"


# The extra of pyproject.toml that installs a package which only some stages need.
_EXTRAS = {
    "aiohttp": "remote",
    "cartopy": "maps",
    "distributed": "dask",
    "earthaccess": "icesat2",
    "foscat": "sphere",
    "fsspec": "remote",
    "gportal": "amsr2",
    "h5coro": "icesat2",
    "healpy": "sphere",
    "huggingface_hub": "segmentation",
    "paramiko": "amsr2",
    "plotly": "browse",
    "pyarrow": "icesat2",
    "pyhdf": "hdf4",
    "pyresample": "resample",
    "pystac_client": "sentinel2",
    "rasterio": "sentinel1",
    "shapefile": "regions",
    "segmentation_models_pytorch": "encoders",
    "s3fs": "remote",
    "shapely": "maps",
    "terratorch": "terramind",
    "timm": "encoders",
    "torch": "train",
}


def install_command(package: str) -> str:
    """Command that installs an optional package.

    Examples
    --------
    >>> install_command("torch")
    'pip install "seaice-toolbox[train]"'
    >>> install_command("torch.nn.functional")
    'pip install "seaice-toolbox[train]"'
    >>> install_command("unknown_package")
    'pip install unknown_package'
    """
    name = package.partition(".")[0]
    return f'pip install "seaice-toolbox[{_EXTRAS[name]}]"' if name in _EXTRAS else f"pip install {name}"
