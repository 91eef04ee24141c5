"""Outputs of steps, kept by the digest of what they were made from.

A folder appears by rename when its step is done, so it is whole or not there at all: a killed run leaves only a
partial folder, which the next run removes.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway import digest

PARTIAL = ".partial-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The folder ``.slipway/cache``: one folder a step, one below it for each key."""

    root: Path

    def find(self, step: str, key: str) -> Path | None:
        """Return the finished outputs of a step for these inputs, if there are any."""
        folder = self.root / step / digest.short(key)
        return folder if folder.is_dir() else None

    @contextmanager
    def filling(self, step: str, key: str) -> Iterator[Path]:
        """Give an empty folder to write to; it takes its place when the block ends without an error."""
        final = self.root / step / digest.short(key)
        partial = final.with_name(f"{PARTIAL}{final.name}-{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)

    def sweep(self) -> int:
        """Remove what killed runs left half-done; return how many folders that were."""
        left = [folder for folder in self.root.glob(f"*/{PARTIAL}*") if folder.is_dir()]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)
