"""Login to the Earthdata account of NASA with the earthaccess package."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from seaice import InputError
from seaice.settings import install_command

logger = logging.getLogger(__name__)

LOGIN_HOST = "urs.earthdata.nasa.gov"


def log_in() -> None:
    """Log in to Earthdata with the account in the environment or in ~/.netrc, without a prompt.

    Raises
    ------
    InputError
        If there is no account, or Earthdata refuses it.
    """
    earthaccess = import_earthaccess()
    from earthaccess.exceptions import LoginAttemptFailure, LoginStrategyUnavailable

    for strategy, location in (("environment", "the environment"), ("netrc", "~/.netrc")):
        try:
            with explain_network_errors("Earthdata Login"):
                if earthaccess.login(strategy=strategy).authenticated:
                    return
        except LoginStrategyUnavailable as error:
            logger.debug("%s", error)
        except LoginAttemptFailure:
            raise InputError(
                f"Earthdata Login refuses the account in {location}: check it at https://{LOGIN_HOST}"
            ) from None
    raise InputError(
        "expected an Earthdata account, found none: set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and "
        f"EARTHDATA_PASSWORD, or add «machine {LOGIN_HOST} login NAME password PASSWORD» to ~/.netrc "
        f"(accounts are free at https://{LOGIN_HOST})"
    )


@contextlib.contextmanager
def explain_network_errors(service: str) -> Iterator[None]:
    """Convert every error in talking to a service to an InputError of one line.

    Parameters
    ----------
    service : str
        Name of the service, for messages.
    """
    import requests

    try:
        yield
    except (InputError, FileNotFoundError):
        raise
    except (requests.RequestException, OSError) as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"no answer from {service} ({reason}); try again later") from error
    except (RuntimeError, LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"{service} gives no usable answer ({reason})") from error


def import_earthaccess() -> Any:
    """Import the earthaccess package.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import earthaccess
    except ImportError:
        raise InputError(
            f"earthaccess is not installed: {install_command('earthaccess')}, or use a folder of "
            "granules"
        ) from None
    return earthaccess
