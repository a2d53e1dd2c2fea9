"""Scattering statistics of maps on HEALPix cells, by the FOSCAT library, and distances of them."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.gapfill.sphere import cells
from seaice.settings import install_command

if TYPE_CHECKING:
    import torch

# Share of the mean spread of its group below which no coefficient's spread counts.
SMALLEST_SPREAD = 0.3
# A local mask with fewer observed cells, or a smaller share, takes the target of the whole map.
FEWEST_CELLS = 10.0
SMALLEST_SHARE = 0.1
# Width of a local mask at nside 1, degrees; about a base cell smoothed by 60 degrees.
MASK_WIDTH = 75.0


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what the library prints and its warnings."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: sums over several depend on their number, and a descent amplifies it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def default_cache() -> Path:
    """Folder in which the library keeps its index tables: ``~/.cache/seaice/foscat``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seaice" / "foscat"


def choose_device(device: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` takes the accelerator where there is one.

    Raises
    ------
    InputError
        For another word, or cuda where there is none.
    """
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"expected device auto, cpu or cuda, found {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("expected an accelerator for device cuda, torch finds none; take cpu")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


class Operator:
    """Scattering covariance on a part of the sphere.

    Parameters
    ----------
    nside : int
    ids : ndarray of int64, shape (cell,)
        Nested numbers, ascending; all of them, or whole blocks for a region.
    norient : int
        Orientations of the wavelets.
    cache_dir : Path
        Made if it is not there.
    device : str
        ``cpu`` or ``cuda``.

    Raises
    ------
    InputError
        Where the library is not installed or the region has too few cells.
    """

    def __init__(
        self, *, nside: int, ids: np.ndarray, norient: int, cache_dir: Path, device: str
    ) -> None:
        import torch

        try:
            with quiet():
                import foscat.scat_cov as library
        except ImportError as error:
            raise InputError(f"scattering needs foscat ({error}): {install_command('foscat')}") from None
        if ids.size < 64:
            raise InputError(
                f"expected at least 64 cells for scattering statistics, found {ids.size}; take a larger "
                f"nside than {nside}"
            )
        cache_dir.mkdir(parents=True, exist_ok=True)
        with quiet():
            self._library = library.funct(
                NORIENT=norient, all_type="float64", TEMPLATE_PATH=str(cache_dir), silent=True
            )
        # The library takes an accelerator wherever it sees one.
        self.device = torch.device(device)
        self._library.backend.device = self._library.backend.torch_device = self.device
        whole = ids.size == 12 * nside**2
        self._part: dict[str, Any] = {} if whole else {"nside": nside, "cell_ids": ids}
        self.groups = self.orders = np.zeros(0, np.int64)

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        """A float64 copy on the device."""
        import torch

        return torch.tensor(array, dtype=torch.float64, device=self.device)

    def coefficients(self, values: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """S1, S2, S3 and S4 of one map under each mask.

        The mean (S0) is left out: the start estimates the mean of a gap better than statistics of
        other cells do.

        Parameters
        ----------
        values : tensor of float64, shape (cell,)
        masks : tensor of float64, shape (mask, cell)
            Weights of at least 0.

        Returns
        -------
        tensor of float64, shape (mask, coefficient)
            Real and imaginary parts beside each other.
        """
        import torch

        with quiet():
            orders_of_map = self._library.eval(values, mask=masks, **self._part)
        parts, groups, orders, first = [], [], [], 0
        for number, order in enumerate(
            (orders_of_map.S1, orders_of_map.S2, orders_of_map.S3, orders_of_map.S4)
        ):
            scales = order.shape[2]
            real = torch.view_as_real(order) if order.is_complex() else order
            flat = real[0].reshape(len(masks), scales, -1)
            parts.append(flat.reshape(len(masks), -1))
            groups.append(first + np.repeat(np.arange(scales), flat.shape[2]))
            orders.append(np.full(groups[-1].size, number))
            first += scales
        self.groups, self.orders = np.concatenate(groups), np.concatenate(orders)
        return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class Target:
    """Statistics to match.

    Attributes
    ----------
    coefficients : tensor of float64, shape (mask, coefficient)
    spread : tensor of float64, shape (coefficient,)
        Above 0.
    share : tensor of float64, shape (coefficient,)
        Weights that sum to 1. Each of S1 to S4 counts the same; nine of ten coefficients are S4.
    """

    coefficients: torch.Tensor
    spread: torch.Tensor
    share: torch.Tensor

    def distance(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Mean squared difference in units of the spread, a scalar."""
        squares = ((coefficients - self.coefficients) / self.spread) ** 2
        return (squares.mean(dim=0) * self.share).sum()


def local_masks(nside: int, ids: np.ndarray, sea: np.ndarray, mask_nside: int | None) -> np.ndarray:
    """Smooth weights about the middles of large cells, float64 (mask, cell); 0 over land.

    Parameters
    ----------
    nside : int
    ids : ndarray of int64, shape (cell,)
        Nested numbers.
    sea : ndarray of bool, shape (cell,)
    mask_nside : int or None
        nside of the large cells, 0 for one weight of 1; the coarsest with four masks if None.
    """
    if mask_nside == 0:
        return sea[None].astype(np.float64)
    shift = int(np.log2(nside))
    levels = range(shift + 1) if mask_nside is None else [int(np.log2(cells.check_nside(mask_nside)))]
    for level in levels:
        large = np.unique(ids[sea] >> 2 * max(shift - level, 0))
        if large.size >= 4 or level == levels[-1]:
            break
    library = cells.healpy()
    position = np.stack(library.pix2vec(nside, ids, nest=True), axis=1)
    middle = np.stack(library.pix2vec(2**level, large, nest=True), axis=1)
    apart = np.degrees(np.arccos(np.clip(middle @ position.T, -1, 1)))
    sigma = MASK_WIDTH / 2**level / np.sqrt(8 * np.log(2))
    weight: np.ndarray = np.exp(-(apart**2) / (2 * sigma**2)) * sea
    return weight


def make_target(
    operator: Operator,
    maps: list[tuple[np.ndarray, np.ndarray]],
    masks: np.ndarray,
    spread_masks: np.ndarray,
) -> Target:
    """Statistics of reference maps, and how much they differ between places and maps.

    Parameters
    ----------
    operator : Operator
    maps : list of (values, used)
        float64 (cell,) and bool (cell,): which cells are used.
    masks : ndarray of float64, shape (mask, cell)
        Masks of the loss.
    spread_masks : ndarray of float64, shape (mask, cell)
        Parts of the maps over which the spread is taken.
    """
    import torch

    sums, weights, samples = [], [], []
    with torch.no_grad():
        for values, used in maps:
            x = operator.tensor(values)
            whole = operator.coefficients(x, operator.tensor(used[None].astype(np.float64)))
            local, weight = _by_mask(operator, x, masks, used, whole)
            sums.append(local)
            weights.append(weight)
            if spread_masks is not masks:
                local, weight = _by_mask(operator, x, spread_masks, used, whole)
            samples.append(local[weight > 0] if (weight > 0).sum() > 1 else torch.cat([local, whole]))
        by_map = torch.stack(weights)
        by_map = torch.where(by_map.sum(dim=0) > 0, by_map, torch.ones_like(by_map))
        by_map = (by_map / by_map.sum(dim=0))[..., None]
        mean = (torch.stack(sums) * by_map).sum(dim=0)
        spread = _spread(torch.cat(samples), operator.groups)
    orders = operator.orders
    share = operator.tensor(1 / (4 * np.bincount(orders)[orders]))
    return Target(mean, spread, share)


def _by_mask(
    operator: Operator, x: torch.Tensor, masks: np.ndarray, used: np.ndarray, whole: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients by mask, and the weight of its used cells; the whole map's where they are few."""
    import torch

    weight = (masks * used).sum(axis=1)
    enough = (weight >= FEWEST_CELLS) & (weight >= SMALLEST_SHARE * masks.sum(axis=1))
    by_mask = whole.expand(len(masks), -1).clone()
    if enough.any():
        by_mask[torch.tensor(enough)] = operator.coefficients(x, operator.tensor((masks * used)[enough]))
    return by_mask, operator.tensor(np.where(enough, weight, 0.0))


def _spread(samples: torch.Tensor, groups: np.ndarray) -> torch.Tensor:
    """Standard deviation of each coefficient, with a floor by order and scale.

    A coefficient that happens to differ little between a handful of samples, or is near 0
    everywhere, must not rule the loss.
    """
    import torch

    variance = samples.var(dim=0, unbiased=True)
    size = (samples**2).mean(dim=0)
    index = torch.tensor(groups, device=samples.device)
    count = torch.bincount(index)
    by_group = torch.bincount(index, variance) / count
    # Where all samples are equal (a constant map), their size takes the place of their spread.
    by_group = torch.maximum(by_group, 1e-4 * torch.bincount(index, size) / count) + 1e-24
    return torch.sqrt(torch.maximum(variance, SMALLEST_SPREAD**2 * by_group[index]))
