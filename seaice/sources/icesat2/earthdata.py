"""The Earthdata account of NASA, through the earthaccess package."""

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
    """Log in to Earthdata with what the environment or ~/.netrc gives; nobody is asked.

    Raises
    ------
    InputError
        If there is no account, or it is refused.
    """
    earthaccess = import_earthaccess()
    from earthaccess.exceptions import LoginAttemptFailure, LoginStrategyUnavailable

    for strategy, where in (("environment", "the environment"), ("netrc", "~/.netrc")):
        try:
            with explain_network_errors("Earthdata Login"):
                if earthaccess.login(strategy=strategy).authenticated:
                    return
        except LoginStrategyUnavailable as error:
            logger.debug("%s", error)
        except LoginAttemptFailure:
            raise InputError(
                f"Earthdata Login refuses the account given in {where}: check it at https://{LOGIN_HOST}"
            ) from None
    raise InputError(
        "expected an Earthdata account, found none: set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and "
        f"EARTHDATA_PASSWORD, or add «machine {LOGIN_HOST} login NAME password PASSWORD» to ~/.netrc "
        f"(accounts are free at https://{LOGIN_HOST})"
    )


@contextlib.contextmanager
def explain_network_errors(what: str) -> Iterator[None]:
    """Whatever goes wrong between us and a service, as InputError of one line."""
    import requests

    try:
        yield
    except requests.RequestException as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"no answer from {what} ({reason}); try again later") from error
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"{what} gives no usable answer ({reason})") from error


def import_earthaccess() -> Any:
    """The earthaccess package.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import earthaccess
    except ImportError:
        raise InputError(
            f"earthaccess is not installed: {install_command('earthaccess')}, or give a folder of "
            "granules"
        ) from None
    return earthaccess
