"""Steps on models: the first plain one, the search, the gates, the registry, the Bento."""

import json
from pathlib import Path

from slipway import digest
from slipway.bentos import releases
from slipway.bentos.build import build
from slipway.bentos.release import Release
from slipway.bentos.sabotage import Sabotage
from slipway.errors import GateRefused, NotEnoughEvidence
from slipway.features.offline import TRAINING_SET_FILE
from slipway.features.quality import IngestReport
from slipway.models import bundle, search, train_script
from slipway.models import config as model_config
from slipway.models.bundle import Bundle
from slipway.models.config import ModelConfig
from slipway.models.gates import Verdict
from slipway.models.judge import Judgement, judge
from slipway.models.registry import Registry
from slipway.models.report import TrainReport
from slipway.models.trials import Trial
from slipway.pipeline import data_steps, lineage
from slipway.pipeline.context import Ship
from slipway.pipeline.errors import StepFailed
from slipway.pipeline.report import gate_file
from slipway.pipeline.report.gate_file import PassedOver
from slipway.pipeline.run import Outcome
from slipway.rollouts.client import Controller
from slipway.settings import MlflowSettings

CHOSEN_FILE = "chosen.json"
RELEASE_FILE = "release.json"
BUNDLE_FOLDER = "bundle"
KIND_TAG = "kind"
BASELINE = "baseline"
SEARCH = "search"


def run_baseline(ship: Ship, folder: Path) -> None:
    """Train, gate, register, package and install the plain model, so that there is something to compare with."""
    config = model_config.load(ship.project, ship.options.model)
    family = train_script.load(ship.project, ship.options.model).baseline
    trained = folder / "trained"
    report = search.baseline(
        _training_set(ship),
        data_steps.layout_of(ship),
        config,
        family,
        trained,
        tracking_uri=_tracking_uri(ship),
        tags=_tags(ship, BASELINE),
    )
    judgement = judge(_training_set(ship), trained, family.name, config)
    if judgement.verdict is not Verdict.PASS:
        raise GateRefused(
            f"no stable model yet, and the plain {family.name} may not become the first: {judgement.refused}; "
            f"correct the data or the limits in models/{config.name}/model.toml"
        )
    version = _register(ship, trained / family.name, folder, BASELINE)
    release = build(ship.service, folder / BUNDLE_FOLDER, project=ship.project)
    ship.progress(f"starting {release.name} as stable")
    status = Controller.of(ship.project).install(ship.service, release, actor=ship.options.actor)
    if status["outcome"] not in {"promoted", "unchanged"}:
        raise StepFailed(f"{release.name} could not be installed as stable: {status['decided_by']}: {status['reason']}")
    ship.run.stable_before = version
    ship.say(
        f"no stable model yet: a plain {family.name} (cross-validated ROC-AUC {report.best.trial.roc_auc:.4f}) "
        f"passed the gates and is stable as version {version}"
    )


def run_train(ship: Ship, folder: Path) -> None:
    """Search the families within the budget."""
    config = model_config.load(ship.project, ship.options.model)
    families = train_script.load(ship.project, ship.options.model).search
    seen: list[Trial] = []

    def on_trial(trial: Trial) -> None:
        seen.append(trial)
        best = max(seen, key=lambda one: one.roc_auc)
        ship.progress(f"{len(seen)} trials, best so far {best.family} with ROC-AUC {best.roc_auc:.4f}")

    report = search.train(
        _training_set(ship),
        data_steps.layout_of(ship),
        config,
        families,
        folder,
        tracking_uri=_tracking_uri(ship),
        tags=_tags(ship, SEARCH),
        on_trial=on_trial,
    )
    ship.say(
        f"{len(report.trials)} trials in {report.search_s:.0f} s, {report.folds} folds of {report.train_rows:,} rows; "
        f"best {report.best.family} with ROC-AUC {report.best.trial.roc_auc:.4f}"
    )
    for family, reason in report.refused.items():
        ship.say(f"{family} was left out: {reason}")


def run_gate(ship: Ship, folder: Path) -> None:
    """Choose the best candidate that passes the gates; the very model that is stable already is passed over."""
    config = model_config.load(ship.project, ship.options.model)
    champion = _champion(ship)
    trained = ship.outputs["train"]
    passed_over: list[PassedOver] = []
    judgements: list[Judgement] = []
    for candidate in TrainReport.load(trained).candidates:
        same = champion is not None and _identity(trained / candidate.family) == champion.bundle.manifest.identity
        if same and champion is not None and not ship.options.sabotage:
            if not champion.is_baseline:
                ship.run.version = champion.version
                ship.finish(
                    Outcome.UNCHANGED,
                    f"the search's best model, {candidate.family}, is the very model that is stable as version "
                    f"{champion.version}",
                )
                return
            passed_over.append(PassedOver(family=candidate.family, why="it is the very model that is stable already"))
            ship.say(f"{candidate.family} is the very model that is stable already; the runner-up is judged")
            continue
        judgement = judge(
            _training_set(ship), trained, candidate.family, config, champion=champion.bundle if champion else None
        )
        judgements.append(judgement)
        if judgement.verdict is Verdict.PASS:
            _write_gate(folder, judgement, config, champion, passed_over)
            for result in judgement.results:
                ship.say(result.words)
            ship.say(f"{candidate.family} passed all {len(judgement.results)} gates")
            return
        passed_over.append(PassedOver(family=candidate.family, why=judgement.refused))
        ship.say(f"{candidate.family} did not pass: {judgement.refused}")
    if not judgements:
        assert champion is not None  # noqa: S101  only the champion's own model is passed over unjudged
        ship.finish(Outcome.UNCHANGED, f"nothing but the stable version {champion.version} came out of the search")
        return
    _write_gate(folder, judgements[0], config, champion, passed_over)
    refusal = GateRefused if any(one.verdict is Verdict.FAIL for one in judgements) else NotEnoughEvidence
    raise refusal(f"no candidate passed the gates; the best, {judgements[0].family}: {judgements[0].refused}")


def run_register(ship: Ship, folder: Path) -> None:
    """Give the chosen candidate a version in MLflow, with its lineage, and the alias challenger."""
    chosen = json.loads((ship.outputs["gate"] / CHOSEN_FILE).read_text(encoding="utf-8"))
    version = _register(ship, ship.outputs["train"] / chosen["family"], folder, SEARCH)
    ship.say(f"version {version} of {ship.options.model} is the challenger: {chosen['family']}, converted to ONNX")


def run_package(ship: Ship, folder: Path) -> None:
    """Build the Bento of the registered version."""
    sabotage = Sabotage(ship.options.sabotage) if ship.options.sabotage else None
    release = build(ship.service, ship.outputs["register"] / BUNDLE_FOLDER, project=ship.project, sabotage=sabotage)
    (folder / RELEASE_FILE).write_text(json.dumps(release.to_json(), indent=1), encoding="utf-8")
    ship.say(f"Bento of {release.name}, content {digest.short(release.digest)}")


def candidate_of(ship: Ship) -> Release:
    """Return the release that the package step built."""
    text = (ship.outputs["package"] / RELEASE_FILE).read_text(encoding="utf-8")
    release = Release.from_json(json.loads(text))
    ship.run.version = release.model_version
    ship.run.metrics = bundle.load(ship.outputs["register"] / BUNDLE_FOLDER).manifest.metrics
    return release


class _Champion:
    """The version behind the stable release, as the gates compare with it."""

    def __init__(self, version: int, loaded: Bundle, kind: str) -> None:
        self.version, self.bundle, self.is_baseline = version, loaded, kind == BASELINE


def _champion(ship: Ship) -> _Champion | None:
    stable = releases.load(ship.project, ship.service).stable
    if stable is None:
        return None
    registry = Registry(_tracking_uri(ship))
    kind = registry.version(stable.model, stable.model_version).tags.get(KIND_TAG, "")
    return _Champion(stable.model_version, registry.load(stable.model, stable.model_version), kind)


def _register(ship: Ship, trained: Path, folder: Path, kind: str) -> int:
    registry = Registry(_tracking_uri(ship))
    registered = registry.register(trained, tags=_tags(ship, kind))
    registry.download(ship.options.model, registered.version, folder / BUNDLE_FOLDER)
    if registered.existed:
        ship.say(f"the registry has this very model already, as version {registered.version}")
    return registered.version


def _write_gate(
    folder: Path,
    judgement: Judgement,
    config: ModelConfig,
    champion: _Champion | None,
    passed_over: list[PassedOver],
) -> None:
    (folder / CHOSEN_FILE).write_text(json.dumps({"family": judgement.family}), encoding="utf-8")
    before = None
    if champion is not None and judgement.champion is not None:
        family = champion.bundle.manifest.family
        before = gate_file.judged(judgement.champion, family=family, version=champion.version)
    gate_file.write(
        folder,
        candidate=gate_file.judged(judgement.candidate, family=judgement.family),
        gates=judgement.results,
        margin=config.gates.non_inferiority_margin,
        slice_metric=config.slices.metric,
        champion=before,
        difference=judgement.difference,
        passed_over=passed_over,
    )


def _identity(folder: Path) -> str:
    return bundle.load(folder).manifest.identity


def _training_set(ship: Ship) -> Path:
    return ship.outputs["features"] / TRAINING_SET_FILE


def _tracking_uri(ship: Ship) -> str:
    return MlflowSettings.load(ship.project).tracking_uri


def _tags(ship: Ship, kind: str) -> dict[str, str]:
    quality = json.loads((ship.outputs["ingest"] / "quality.json").read_text(encoding="utf-8"))
    version = IngestReport.from_json(quality).version
    return {
        KIND_TAG: kind,
        "data_hash": version.hash if version else "",
        "ship_run": ship.run.id,
        **lineage.of_checkout(ship.project),
    }
