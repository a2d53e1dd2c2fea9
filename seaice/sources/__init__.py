"""One room per archive: name grammar, listing, reading."""

from seaice import InputError


class RejectedDay(InputError):
    """A day's file exists and cannot be used; the message is the reason."""
