"""The registry of models in MLflow: versions, their lineage, and the aliases champion and challenger."""

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx

from slipway import digest
from slipway.models import bundle
from slipway.models.bundle import Bundle, Manifest
from slipway.models.errors import BundleAltered, ModelNotFound
from slipway.models.mlflow_client import MlflowException, connect, missing, mlflow, speaking_to
from slipway.models.runtime import INPUT, OUTPUT

CHAMPION = "champion"
CHALLENGER = "challenger"

IDENTITY_TAG = "model_identity"
ONNX_TAG = "onnx_digest"

# Artifacts of a run: what is registered lies below its identity, so that nothing registered is ever written over.
MODEL_FOLDER = "{identity}/model"
BUNDLE_FOLDER = "{identity}/bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A registered version as people see it."""

    model: str
    version: int
    run_id: str
    family: str
    identity: str
    onnx_digest: str
    created_ms: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The version that a bundle has now, and whether the registry had it before."""

    version: int
    existed: bool


class Registry:
    """Models in an MLflow server."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._client = connect(tracking_uri)

    def register(self, folder: Path, *, tags: Mapping[str, str]) -> Registered:
        """Register a bundle as the next version of its model and make it the challenger.

        A model that is registered already, told by its identity, keeps its version. The files go to the bundle's run
        first and the version is made last, in one call with all its tags, so a killed registration leaves no half
        version and can simply be done again.
        """
        loaded = bundle.load(folder)
        manifest = loaded.manifest
        with speaking_to(self._uri):
            existing = self._find(manifest)
            version = existing if existing is not None else self._create(loaded, tags)
            self._client.set_registered_model_alias(manifest.model, CHALLENGER, str(version))
        return Registered(version=version, existed=existing is not None)

    def find(self, manifest: Manifest) -> int | None:
        """Return the version that is the same model as a bundle's, if there is one."""
        with speaking_to(self._uri):
            return self._find(manifest)

    def champion(self, model: str) -> int | None:
        """Return the version that carries the alias champion; None where there is no model or no champion."""
        return self._alias(model, CHAMPION)

    def challenger(self, model: str) -> int | None:
        """Return the version that was registered last; None where there is none."""
        return self._alias(model, CHALLENGER)

    def set_champion(self, model: str, version: int) -> None:
        """Move the alias champion; only the promotion of a rollout and the installation of a first model do this."""
        self.version(model, version)
        with speaking_to(self._uri):
            self._client.set_registered_model_alias(model, CHAMPION, str(version))

    def load(self, model: str, version: int) -> Bundle:
        """Fetch the bundle of a version; an altered file is refused."""
        found = self.version(model, version)
        folder = _artifact(BUNDLE_FOLDER, found.identity)
        with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
            try:
                fetched = self._client.download_artifacts(found.run_id, folder, scratch)
            except MlflowException as error:
                msg = (
                    f"the files of {model} {version} are not in MLflow's artifacts any more: {error}; register it again"
                )
                raise ModelNotFound(msg) from error
            stored = bundle.load(Path(fetched))
        if stored.manifest.identity != found.identity:
            msg = (
                f"{model} {version}: its files have the identity {stored.manifest.identity}, but {found.identity} was "
                "registered: they were altered in MLflow's artifacts; register the model again"
            )
            raise BundleAltered(msg)
        return Bundle(manifest=msgspec.structs.replace(stored.manifest, model_version=version), onnx=stored.onnx)

    def download(self, model: str, version: int, folder: Path) -> Path:
        """Write the bundle of a version, numbered, into a folder, ready to be packaged."""
        loaded = self.load(model, version)
        return bundle.write(folder, manifest=loaded.manifest, onnx=loaded.onnx)

    def load_onnx(self, model: str, version: int) -> bytes:
        """Fetch the ONNX bytes of a version."""
        return self.load(model, version).onnx

    def version(self, model: str, version: int) -> Version:
        """Return one version, or say which there are."""
        for found in self.versions(model):
            if found.version == version:
                return found
        known = [found.version for found in self.versions(model)]
        msg = f"model {model!r} has no version {version}; it has {known}" if known else f"there is no model {model!r}"
        raise ModelNotFound(f"{msg}; see 'slipway models list'")

    def versions(self, model: str) -> list[Version]:
        """Return all versions of a model, the newest first; none for an unknown model."""
        with speaking_to(self._uri):
            found = self._client.search_model_versions(f"name = '{model}'", order_by=["version_number DESC"])
            aliases = self._aliases(model) if found else {}
        return [_version(one, aliases) for one in found]

    def models(self) -> list[str]:
        """Return the names of all models that have a version."""
        with speaking_to(self._uri):
            return sorted({one.name for one in self._client.search_model_versions()})

    def _create(self, loaded: Bundle, tags: Mapping[str, str]) -> int:
        manifest = loaded.manifest
        self._require_run(manifest)
        try:
            self._client.create_registered_model(manifest.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
            bundle.write(
                Path(scratch) / _artifact(BUNDLE_FOLDER, manifest.identity), manifest=manifest, onnx=loaded.onnx
            )
            _save_for_mlflow(Path(scratch) / _artifact(MODEL_FOLDER, manifest.identity), loaded)
            self._client.log_artifacts(manifest.run_id, scratch)
        created = self._client.create_model_version(
            manifest.model,
            source=f"runs:/{manifest.run_id}/{_artifact(MODEL_FOLDER, manifest.identity)}",
            run_id=manifest.run_id,
            tags={
                **tags,
                "family": manifest.family,
                "feature_set": str(manifest.feature_set.get("hash", "")),
                "threshold": str(manifest.threshold),
                ONNX_TAG: manifest.onnx_digest,
                IDENTITY_TAG: manifest.identity,
                **{f"holdout.{name}": repr(value) for name, value in manifest.metrics.items()},
            },
            # It is ready at once; waiting would ask again and again.
            await_creation_for=0,
        )
        return int(created.version)

    def _require_run(self, manifest: Manifest) -> None:
        try:
            self._client.get_run(manifest.run_id)
        except MlflowException as error:
            if not missing(error):
                raise
            msg = (
                f"MLflow at {self._uri} does not know the run {manifest.run_id} that trained {manifest.model} "
                "(another server, or its tables were emptied since); train again: "
                f"slipway ship {manifest.model} --force --from train"
            )
            raise ModelNotFound(msg) from None

    def _find(self, manifest: Manifest) -> int | None:
        found = self._client.search_model_versions(
            f"name = '{manifest.model}' and tags.`{IDENTITY_TAG}` = '{manifest.identity}'"
        )
        return max((int(one.version) for one in found), default=None)

    def _alias(self, model: str, alias: str) -> int | None:
        with speaking_to(self._uri):
            version = self._aliases(model).get(alias)
        return None if version is None else int(version)

    def _aliases(self, model: str) -> dict[str, str]:
        try:
            return dict(self._client.get_registered_model(model).aliases)
        except MlflowException as error:
            if missing(error):
                return {}
            raise


def _artifact(folder: str, identity: str) -> str:
    return folder.format(identity=digest.short(identity))


def _save_for_mlflow(folder: Path, loaded: Bundle) -> None:
    """Write what MLflow's own loaders read, so that ``mlflow.pyfunc.load_model`` works on a version."""
    model = onnx.load_from_string(loaded.onnx)
    columns = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    floats = np.dtype(np.float32)
    with warnings.catch_warnings():
        # The first use imports parts of MLflow that warn about MLflow's own type hints.
        warnings.simplefilter("ignore")
        mlflow.onnx.save_model(
            model,
            str(folder),
            # Named here: else MLflow starts the model in another process to see what it imports.
            pip_requirements=["onnxruntime", "numpy"],
            onnx_execution_providers=["CPUExecutionProvider"],
            signature=mlflow.models.ModelSignature(
                mlflow.types.Schema([mlflow.types.TensorSpec(floats, (-1, columns), INPUT)]),
                mlflow.types.Schema([mlflow.types.TensorSpec(floats, (-1,), OUTPUT)]),
            ),
        )


def _version(found: mlflow.entities.model_registry.ModelVersion, aliases: Mapping[str, str]) -> Version:
    tags = dict(found.tags)
    return Version(
        model=found.name,
        version=int(found.version),
        run_id=str(found.run_id),
        family=tags.get("family", ""),
        identity=tags.get(IDENTITY_TAG, ""),
        onnx_digest=tags.get(ONNX_TAG, ""),
        created_ms=int(found.creation_timestamp),
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == found.version)),
        tags={name: value for name, value in tags.items() if not name.startswith("holdout.")},
        metrics={n.removeprefix("holdout."): float(v) for n, v in tags.items() if n.startswith("holdout.")},
    )
