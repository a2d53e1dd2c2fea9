"""Clouds to hold out: parts of real gaps laid over the observed cells of other maps.

Single random cells would tell a far too small error, as their neighbours are still there.
"""

from __future__ import annotations

import numpy as np

# Of the observed cells of a map at most this share may be held out.
_LARGEST_SHARE = 0.5
# More clouds would tell nothing new.
_MOST_CLOUDS = 1000
_TRIES = 100


def held_out_clouds(
    observed: np.ndarray, sea: np.ndarray, *, share: float, cloud_size: int, seed: int
) -> np.ndarray:
    """Choose observed cells to hold out, as whole clouds.

    A cloud is the ``cloud_size`` cells nearest to a random cell of a gap, in that gap, laid where it
    is over another map. Where the gaps of a stack cover too little of other maps, discs do.

    Parameters
    ----------
    observed : ndarray of bool, shape (time, y, x)
    sea : ndarray of bool, shape (y, x)
    share : float
        Of all observed cells, 0 to 1; no more than 1000 clouds, no less than one cell.
    cloud_size : int
        Cells of a cloud; fewer if ``share`` would otherwise be less than four clouds.
    seed : int

    Returns
    -------
    ndarray of bool, shape (time, y, x)
        All False if no map has two observed cells. The last value of a cell is never held out:
        without any, nothing is known of it.
    """
    random = np.random.default_rng(seed)
    wanted = min(max(1, round(share * observed.sum())), _MOST_CLOUDS * cloud_size)
    size = max(1, min(cloud_size, wanted // 4))
    hidden = np.zeros_like(observed)
    counts = observed.sum(axis=(1, 2))
    left = (_LARGEST_SHARE * counts).astype(int)
    seen = observed.sum(axis=0)
    gaps = np.flatnonzero((counts > 0) & (counts < sea.sum()))
    for attempt in range(_TRIES * -(-wanted // size)):
        targets = np.flatnonzero(left)
        if wanted <= 0 or not targets.size:
            break
        target = int(random.choice(targets))
        others = gaps[gaps != target]
        from_gap = others.size and attempt % _TRIES < _TRIES // 2
        ground = sea & ~observed[random.choice(others)] if from_gap else sea
        cells = _part(ground, size, random)
        cells = cells[(observed[target] & ~hidden[target] & (seen > 1)).flat[cells]]
        most = min(wanted, int(left[target]))
        # A sliver of a cloud is no cloud.
        if 2 * cells.size >= min(size, 2 * most):
            hidden[target].flat[cells[:most]] = True
            left[target] -= cells[:most].size
            wanted -= cells[:most].size
            seen.flat[cells[:most]] -= 1
    return hidden


def _part(ground: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Flat indices of the connected cells of ``ground`` nearest to one of its cells."""
    from scipy import ndimage

    start = random.choice(np.flatnonzero(ground))
    y, x = divmod(int(start), ground.shape[1])
    reach = 2 * int(np.ceil(np.sqrt(size)))
    top, first = max(0, y - reach), max(0, x - reach)
    box = ground[top : y + reach + 1, first : x + reach + 1]
    labels, _ = ndimage.label(box)
    rows, columns = np.nonzero(labels == labels[y - top, x - first])
    rows, columns = rows + top, columns + first
    nearest = np.argsort((rows - y) ** 2 + (columns - x) ** 2, kind="stable")[:size]
    flat: np.ndarray = rows[nearest] * ground.shape[1] + columns[nearest]
    return flat
