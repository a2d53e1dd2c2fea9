"""Settings of :mod:`seaice.settings`, for those who run from a checkout."""

from seaice.settings import bremen_hosts, data_dir, gportal_account, install_command

__all__ = ["bremen_hosts", "data_dir", "gportal_account", "install_command"]
