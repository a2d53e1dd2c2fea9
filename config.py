"""Places, hosts and machine knobs: option > environment variable > default.

Read by the scripts only. Nothing happens on import; each function looks at the
environment when it is called.
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
