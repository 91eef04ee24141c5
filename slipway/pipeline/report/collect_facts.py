"""Facts for lineage: what a run was made from and what it made, by name and by digest."""

from collections.abc import Iterator

import slipway
from slipway.bentos.release import Release
from slipway.models.bundle import Manifest
from slipway.pipeline.report.collect_data import QualityFile
from slipway.pipeline.report.values import Fact
from slipway.pipeline.run import Run


def facts(
    run: Run,
    *,
    checkout: dict[str, str],
    quality: QualityFile | None,
    manifest: Manifest | None,
    release: Release | None,
    rollout_id: str,
) -> tuple[Fact, ...]:
    """Return the facts that are known; ``checkout`` holds ``git_commit`` and ``lock_hash``."""
    return (
        *_of_origin(run, checkout, quality),
        *_of_model(run, manifest),
        *_of_release(release),
        *_of_traffic(run, rollout_id),
    )


def _of_origin(run: Run, checkout: dict[str, str], quality: QualityFile | None) -> Iterator[Fact]:
    yield Fact(name="run", value=run.id, is_code=True)
    known = "" if run.data else "seeded, with a known truth"
    yield Fact(name="data", value=run.data or "the synthetic set", note=known)
    if quality is not None and quality.version is not None:
        yield Fact(name="data version", value=quality.version.hash, note="content hash, by DVC", is_code=True)
    yield Fact(name="git commit", value=checkout["git_commit"], is_code=True)
    yield Fact(name="locked libraries", value=checkout["lock_hash"], note="requirements.lock", is_code=True)
    yield Fact(name="slipway", value=slipway.__version__)
    if run.sabotage:
        yield Fact(name="sabotage", value=run.sabotage, note="the candidate was broken on purpose")


def _of_model(run: Run, manifest: Manifest | None) -> Iterator[Fact]:
    if run.version is not None:
        yield Fact(name="model", value=f"{run.model} version {run.version}")
    if manifest is not None:
        yield Fact(name="family", value=manifest.family.replace("_", " "), note=f"threshold {manifest.threshold:g}")
        yield Fact(name="MLflow run", value=manifest.run_id, is_code=True)
        yield Fact(name="ONNX", value=manifest.onnx_digest, is_code=True)


def _of_release(release: Release | None) -> Iterator[Fact]:
    if release is not None:
        yield Fact(name="feature set", value=release.feature_set, is_code=True)
        yield Fact(name="Bento", value=release.digest, is_code=True)
        yield Fact(name="Bento's folder", value=release.bento, is_code=True)


def _of_traffic(run: Run, rollout_id: str) -> Iterator[Fact]:
    if run.stable_before is not None:
        yield Fact(name="stable before", value=f"{run.model} version {run.stable_before}")
    if rollout_id:
        yield Fact(name="rollout", value=rollout_id, is_code=True)
    if run.rps:
        yield Fact(name="traffic asked for", value=f"{run.rps} requests per second")
