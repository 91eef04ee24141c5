"""The bundle: one folder with everything that serving needs to know of a model version, and nothing pickled.

``model.onnx`` is the model (input ``features``, float32 ``[n, d]``; output ``score``, float32 ``[n]``) and
``manifest.json`` says what it is, what it expects and what it must answer to the golden rows. Only msgspec and the
standard library are imported: the serving image reads this.
"""

from bisect import bisect_left
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from slipway import digest
from slipway.models.errors import BundleAltered

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"

# 64 bins of the hold-out scores: enough for drift of scores, 65 edges with both ends.
REFERENCE_QUANTILES = 65

FeatureValue = bool | int | float | str | None


class GoldenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A real held-out row and the score that the model gave it when it was registered."""

    features: dict[str, FeatureValue]
    score: float


class ReferenceScores(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of the model's own scores on the hold-out, as equally spaced quantiles."""

    quantiles: tuple[float, ...]

    def bins(self, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the inner edges of about ``count`` equal bins, and the share of the hold-out in each of them.

        A score that equals an edge belongs above it. Scores that many rows share make fewer and wider bins.

        >>> ReferenceScores(quantiles=(0.0, 0.25, 0.5, 0.75, 1.0)).bins(2)
        ((0.5,), (0.5, 0.5))
        """
        steps = len(self.quantiles) - 1
        edges = tuple(sorted({self.quantiles[round(k * steps / count)] for k in range(1, count)} - {self.quantiles[0]}))
        below = [0, *(bisect_left(self.quantiles, edge) for edge in edges), steps]
        return edges, tuple((after - before) / steps for before, after in pairwise(below))


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model version is; ``feature_set`` is the layout's JSON, ``threshold`` the least score of ``positive``."""

    model: str
    model_version: int
    run_id: str
    family: str
    feature_set: dict[str, Any]
    threshold: float
    positive: str
    negative: str
    onnx_digest: str
    metrics: dict[str, float]
    golden: tuple[GoldenRow, ...]
    reference_scores: ReferenceScores

    @property
    def identity(self) -> str:
        """Return the digest of what the model answers: its bytes, what it reads, and how a score becomes a label.

        Two trainings with one identity gave the same model, whatever else (rows held out, time, run) differs.
        """
        return digest.of_json(
            {
                "model": self.model,
                "onnx": self.onnx_digest,
                "feature_set": self.feature_set.get("hash"),
                "threshold": self.threshold,
                "labels": [self.negative, self.positive],
            }
        )

    def label(self, score: float) -> str:
        """Return the class that a score stands for."""
        return self.positive if score >= self.threshold else self.negative

    def to_json(self) -> bytes:
        """Return the manifest as indented JSON, the same bytes for the same content."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2) + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> "Manifest":
        """Read a manifest; one of another shape is refused with the path of the field."""
        try:
            return msgspec.json.decode(content, type=cls)
        except msgspec.DecodeError as error:
            msg = f"a bundle's {MANIFEST_FILE} can't be read: {error}; register the model again"
            raise BundleAltered(msg) from None


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded bundle whose model has been seen to have the digest that its manifest names."""

    manifest: Manifest
    onnx: bytes


def write(folder: Path, *, manifest: Manifest, onnx: bytes) -> Path:
    """Write a bundle into ``folder`` (made when missing) and return the folder."""
    verify(manifest, onnx, where=str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(onnx)
    (folder / MANIFEST_FILE).write_bytes(manifest.to_json())
    return folder


def load(folder: Path) -> Bundle:
    """Read and verify a bundle; an altered model or a missing file is refused."""
    try:
        manifest = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
        onnx = (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        msg = f"the bundle {folder} can't be read: {error}; package the model again"
        raise BundleAltered(msg) from None
    verify(manifest, onnx, where=str(folder))
    return Bundle(manifest=manifest, onnx=onnx)


def verify(manifest: Manifest, onnx: bytes, *, where: str) -> None:
    """Refuse a model whose bytes are not those that the manifest was written for."""
    seen = digest.of_bytes(onnx)
    if seen != manifest.onnx_digest:
        msg = (
            f"{where}: {MODEL_FILE} has the digest {seen}, its manifest names {manifest.onnx_digest}: "
            f"the file was altered after {manifest.model} {manifest.model_version} was registered; package it again"
        )
        raise BundleAltered(msg)
