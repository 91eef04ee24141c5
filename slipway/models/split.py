"""Which rows are held out. Pure."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def held_out(entity_keys: Sequence[str], *, share: float, seed: int) -> NDArray[np.bool_]:
    """Say for each row whether it is held out, by a hash of its entity's key.

    All rows of an entity fall on the same side, and an entity stays on its side when rows come or go, so that a
    champion trained last month has not seen the rows that it is compared on this month.

    >>> held_out(["7590-VHVEG", "5575-GNVDE", "7590-VHVEG"], share=0.5, seed=7).tolist()
    [True, False, True]
    """
    prefix = f"{seed}:".encode()
    limit = int(share * 2**64)
    return np.fromiter(
        (int.from_bytes(hashlib.sha256(prefix + key.encode()).digest()[:8], "big") < limit for key in entity_keys),
        dtype=bool,
        count=len(entity_keys),
    )
