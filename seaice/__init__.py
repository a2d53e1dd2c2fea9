"""Satellite data about sea ice, from the archive to the training loop.

Importing this package does nothing but define names: no folder, no log file,
no network, no change of the environment.
"""

__version__ = "0.1.0"


class InputError(ValueError):
    """Something the caller gave cannot be used.

    The message is one line that says what was expected, what was found,
    where, and what to do. Scripts print it without a traceback and exit 1.
    """
