"""Folders, hosts and accounts from the environment, and how optional packages are installed.

An option of the command line wins over an environment variable, which wins over the default.
Nothing happens on import; each function looks at the environment when it is called.
"""

import os
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


# The extra of pyproject.toml that installs a package which only some stages need.
_EXTRAS = {
    "cartopy": "maps",
    "distributed": "dask",
    "earthaccess": "icesat2",
    "foscat": "sphere",
    "gportal": "amsr2",
    "h5coro": "icesat2",
    "healpy": "sphere",
    "huggingface_hub": "segmentation",
    "paramiko": "amsr2",
    "pyarrow": "icesat2",
    "pyhdf": "hdf4",
    "pyresample": "resample",
    "segmentation_models_pytorch": "encoders",
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
