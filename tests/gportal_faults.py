"""What the stand-in of G-Portal does wrong on demand; see gportal_server.py."""

import random
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

# What one attempt to fetch a granule may meet.
KINDS = ("drop", "stall", "absent", "truncated", "flipped", "html", "denied", "slow")
# Those that a client can see, and sees without a long wait.
SEEN = ("drop", "stall", "absent", "truncated", "html", "denied")
ANSWERS = ("html", "drop", "hang", "empty_page", "ok")


class Faults:
    """Decides for each event whether it goes wrong; safe to ask from many threads.

    Parameters
    ----------
    granules
        Faults of each granule, one for each attempt to open it. A «!» after the last one
        makes it permanent: ``{"GW1AM2_...": ["drop", "absent!"]}``. None is an attempt without a fault.

        - drop: the connection is cut in the middle of what the attempt reads
        - stall: reads hang from the middle on, until the client or the server closes
        - absent: no such file, though the catalogue lists it
        - truncated: the file has half the size that the catalogue says, and stat says so too
        - flipped: one bit in the middle of the file is wrong, the size is right
        - html: a web page under the name of the granule
        - denied: stat works, to open is not permitted
        - slow: ``slow_rate`` bytes a second
    catalogue
        Answers to the first searches: an HTTP status of trouble (503, 500), "html" (a web page with
        status 200), "drop" (connection reset), "hang" (silence), "empty_page" (0 records though more
        match, for ever), "ok" (a proper answer).
    max_connections
        TCP connections for files beyond these are accepted and closed at once, as sshd does.
    refuse_logins
        So many first logins are refused though the password is right.
    banner_stall, login_stall, session_stall
        So many first connections, right logins, or requests for SFTP never get an answer.
    """

    def __init__(
        self,
        granules: Mapping[str, Sequence[str | None]] | None = None,
        *,
        catalogue: Sequence[int | str] = (),
        max_connections: int | None = None,
        refuse_logins: int = 0,
        banner_stall: int = 0,
        login_stall: int = 0,
        session_stall: int = 0,
        slow_rate: float = 200_000.0,
    ):
        for granule_id, kinds in (granules or {}).items():
            for place, kind in enumerate(kinds, 1):
                last = place == len(kinds)
                if kind is not None and (kind.removesuffix("!") if last else kind) not in KINDS:
                    raise ValueError(f"{granule_id}: no fault {kind!r} in place {place}, know {KINDS}")
        for answer in catalogue:
            if not isinstance(answer, int) and answer not in ANSWERS:
                raise ValueError(f"no answer {answer!r}, know a status and {ANSWERS}")
        self._granules = {granule_id: list(kinds) for granule_id, kinds in (granules or {}).items()}
        self.planned = {granule_id: tuple(kinds) for granule_id, kinds in self._granules.items()}
        self._catalogue = list(catalogue)
        self.max_connections = max_connections
        self.slow_rate = slow_rate
        self._left = {
            "refuse_logins": refuse_logins,
            "banner_stall": banner_stall,
            "login_stall": login_stall,
            "session_stall": session_stall,
        }
        self._lock = threading.Lock()

    @classmethod
    def random(
        cls,
        ids: Iterable[str],
        *,
        share: float = 0.2,
        seed: int = 0,
        kinds: Sequence[str] = SEEN,
        **more,
    ) -> Self:
        """A share of the granules meets one kind of fault each, once or at the first two attempts."""
        dice = random.Random(seed)
        names = sorted(set(ids))
        chosen = dice.sample(names, round(share * len(names)))
        plan = {name: [kinds[i % len(kinds)]] * dice.choice((1, 1, 2)) for i, name in enumerate(chosen)}
        return cls(plan, **more)

    def peek(self, granule_id: str) -> str | None:
        """The fault that the next attempt will meet."""
        with self._lock:
            kinds = self._granules.get(granule_id)
            return kinds[0].removesuffix("!") if kinds and kinds[0] else None

    def take(self, granule_id: str) -> str | None:
        """The fault that this attempt meets; it is used up unless it is permanent."""
        with self._lock:
            kinds = self._granules.get(granule_id)
            if not kinds:
                return None
            if kinds[0] and kinds[0].endswith("!"):
                return kinds[0].removesuffix("!")
            return kinds.pop(0)

    def answer(self, *, numbers_only: bool) -> int | str:
        """How the catalogue answers this search."""
        with self._lock:
            if not self._catalogue:
                return "ok"
            if self._catalogue[0] == "empty_page":
                return "ok" if numbers_only else "empty_page"
            return self._catalogue.pop(0)

    def login(self) -> str | None:
        """What happens to a login with the right password: "refuse", "stall" or None."""
        if self._counts_down("refuse_logins"):
            return "refuse"
        return "stall" if self._counts_down("login_stall") else None

    def session(self) -> str | None:
        """What happens to a request for SFTP: "stall" or None."""
        return "stall" if self._counts_down("session_stall") else None

    def connection(self, *, already_open: int) -> str | None:
        """What happens to a new connection for files: "refuse", "stall" or None."""
        if self.max_connections is not None and already_open >= self.max_connections:
            return "refuse"
        return "stall" if self._counts_down("banner_stall") else None

    def _counts_down(self, name: str) -> bool:
        with self._lock:
            self._left[name] -= 1
            return self._left[name] >= 0
