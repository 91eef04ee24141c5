"""A run as ``ship`` leaves it: every file a report is made from, written by the code that writes them in earnest.

The rollout is a real one, of the real controller's runner, in memory and at the speed of the clock that it is given.
"""

import functools
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from slipway.experiments.paired import roc_auc_difference
from slipway.features.definitions import DType
from slipway.features.quality import Check, DataVersion, IngestReport, Profile, Reason, Repair
from slipway.loadtests.report import LoadFailure, LoadPoint, LoadReport
from slipway.models.bundle import GoldenRow, Manifest, ReferenceScores
from slipway.models.evaluate import Evaluation, evaluate
from slipway.models.gates import Converted, GateResult, Verdict
from slipway.models.importance import Importance
from slipway.models.report import Candidate, TrainReport
from slipway.models.trials import Trial
from slipway.pipeline import runs
from slipway.pipeline.report import gate_file
from slipway.pipeline.run import Outcome, Run, StepOutcome, StepRecord
from slipway.project import Project
from slipway.rollouts import views
from slipway.rollouts.observation import Order
from tests.rollouts.world import Truth, World, release

STARTED = datetime(2026, 11, 21, 11, 59, tzinfo=UTC)
FAMILIES = {"xgboost": 0.846, "gradient_boosting": 0.8465, "logistic_regression": 0.8452, "random_forest": 0.8395}
BENTO_TOML = """
[service]
name = "churn"
model = "churn"

[slo]
p99_ms = 50
error_rate = 0.001
min_rps = 270
"""
# Name, seconds, peak memory of the steps of a run, as measured once on two cores.
STEPS = (
    ("ingest", 2.1, 410, ["telco.csv: 7,043 rows read, 7,041 accepted", "repaired 11 rows of TotalCharges"]),
    ("stack", 7.4, 620, []),
    ("features", 1.9, 740, ["19 features of customer_profile"]),
    ("materialize", 0.6, 760, ["7,041 customers' values in Redis (0 older ones left alone)"]),
    ("train", 27.3, 1630, ["67 trials in 26 s, 5 folds of 5,634 rows; best gradient_boosting with ROC-AUC 0.8465"]),
    ("gate", 2.2, 1400, ["gradient_boosting passed all 7 gates"]),
    ("register", 4.9, 1480, ["version 2 of churn is the challenger: gradient_boosting, converted to ONNX"]),
    ("package", 6.3, 1350, ["Bento of churn v2, content 000000000002"]),
    ("start", 5.5, 1700, ["golden rows of churn v2 pass"]),
    ("loadtest", 13.8, 1910, ["p99 12 ms, at most 50 ms"]),
    ("rollout", 61.2, 1880, []),
    ("promote", 8.7, 1790, ["churn v2 is stable, alias champion moved"]),
)
# Steps whose outputs lie in the cache, with their words beside them.
CACHED = {"ingest", "features", "train", "gate", "register", "package"}
NAMES = tuple(name for name, *_ in STEPS)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A project with one finished run in it."""

    project: Project
    run: Run

    @property
    def folder(self) -> Path:
        return runs.folder_of(self.project.home, self.run.id)


def project(root: Path) -> Project:
    """Return a project that has what a report reads of one: the objectives of the service."""
    (root / "bentos" / "churn").mkdir(parents=True)
    (root / "bentos" / "churn" / "bento.toml").write_text(BENTO_TOML, encoding="utf-8")
    return Project(root=root, home=root / ".slipway", name="slipway")


def a_run(root: Path, outcome: Outcome | None = Outcome.PROMOTED, *, last: str = "promote", **changes: Any) -> Made:
    """Write a run that ended with ``last``; that step was refused or failed where the outcome says so."""
    made = project(root)
    run = Run(
        id="20261121-115900-5f0c",
        model="churn",
        started_at=STARTED.isoformat(),
        data="telco.csv",
        rps=100,
        outcome=outcome,
        version=2 if NAMES.index(last) >= NAMES.index("register") else None,
        stable_before=1,
    )
    for name, value in changes.items():
        setattr(run, name, value)
    folder = runs.folder_of(made.home, run.id)
    at_s = 0.3
    for name, seconds, peak_mb, words in STEPS[: NAMES.index(last) + 1]:
        begun = STARTED + timedelta(seconds=at_s)
        step = StepRecord(
            name=name,
            outcome=_ending(outcome) if name == last else StepOutcome.DONE,
            started_at=begun.isoformat(),
            seconds=seconds,
            peak_mb=peak_mb,
            words=list(words),
            folder=str(folder / name),
        )
        (folder / name).mkdir(parents=True)
        if name in CACHED:
            (folder / name / "words.txt").write_text("\n".join(words), encoding="utf-8")
        write_step(folder / name, run)
        run.steps.append(step)
        at_s += seconds
    run.seconds, run.peak_mb = at_s, max(step.peak_mb for step in run.steps)
    runs.save(made.home, run)
    return Made(project=made, run=run)


def _ending(outcome: Outcome | None) -> StepOutcome:
    if outcome in {Outcome.REJECTED, Outcome.HELD}:
        return StepOutcome.REFUSED
    if outcome is Outcome.FAILED:
        return StepOutcome.FAILED
    return StepOutcome.INTERRUPTED if outcome is None else StepOutcome.DONE


def write_step(folder: Path, run: Run) -> None:
    """Write what one step leaves for the report."""
    match folder.name:
        case "ingest":
            _write(folder / "quality.json", quality().to_json())
        case "train":
            trained().save(folder)
        case "gate":
            write_gate(folder)
        case "register":
            (folder / "bundle").mkdir()
            (folder / "bundle" / "manifest.json").write_bytes(manifest().to_json())
        case "package":
            _write(folder / "release.json", release(2).to_json())
        case "loadtest":
            (folder / "report.json").write_bytes(msgspec.json.encode(load_report()))
            (folder / "locust_stats_history.csv").write_text(load_history(), encoding="utf-8")
            (folder / "locust.html").write_text("<!doctype html><title>Locust</title>", encoding="utf-8")
        case "rollout":
            for name, content in rollout_files(run.outcome or Outcome.FAILED).items():
                _write(folder / name, content)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")


def quality() -> IngestReport:
    rng = np.random.default_rng(2)
    tenure = np.clip(rng.gamma(1.1, 30, 7041), 0, 72)
    counts, edges = np.histogram(tenure, bins=24)
    return IngestReport(
        source="telco",
        file="telco.csv",
        rows=7043,
        accepted=7041,
        quarantined=2,
        max_bad_share=0.05,
        repaired=11,
        blank_lines=1,
        ignored_columns=("notes",),
        repairs=(Repair(column="TotalCharges", rows=11, note="not billed yet"),),
        reasons=(
            Reason(
                column="Contract",
                reason="is not one of Month-to-month, One year, Two year",
                rows=2,
                example_row=812,
                example_value="Weekly",
            ),
        ),
        checks=(
            Check(column="gender", check="share of 'Female'", seen=0.495, at_least=0.22, at_most=0.77, passed=True),
            Check(column="tenure", check="mean", seen=32.4, at_least=12.8, at_most=52.0, passed=True),
        ),
        columns=(
            Profile(
                column="tenure",
                dtype=DType.INT64,
                nulls=0,
                distinct=73,
                mean=32.4,
                sd=24.6,
                smallest=0,
                largest=72,
                quantiles={"0.05": 1.0, "0.25": 9.0, "0.5": 29.0, "0.75": 55.0, "0.95": 72.0},
                histogram_edges=[float(edge) for edge in edges],
                histogram_counts=[int(count) for count in counts],
            ),
            _words("Contract", {"Month-to-month": 3875, "Two year": 1695, "One year": 1471}),
            _words("PaymentMethod", {"Electronic check": 2365, "Mailed check": 1612, "Bank": 1544, "Card": 1520}),
            _words("Churn", {"No": 5173, "Yes": 1868}),
        ),
        label="Churn",
        label_counts={"No": 5173, "Yes": 1868},
        version=DataVersion(hash="5d1a58fee7f58e05cc7b2f7e", size_bytes=970_457, pointer="telco.csv.dvc"),
    )


def _words(column: str, counts: Mapping[str, int]) -> Profile:
    return Profile(column=column, dtype=DType.CATEGORY, nulls=0, distinct=len(counts), counts=counts)


@functools.cache
def held_out() -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, list[str]]]:
    """Return labels, scores of candidate and champion, and groups of 1,409 made-up customers."""
    rng = np.random.default_rng(5)
    truth = rng.normal(size=1409)
    positive = rng.random(1409) < 1 / (1 + np.exp(-(1.9 * truth - 1.6)))
    scores = {
        name: 1 / (1 + np.exp(-(1.9 * truth - 1.6 + noise * rng.normal(size=1409))))
        for name, noise in (("candidate", 0.30), ("champion", 0.45))
    }
    groups = {
        "gender": rng.choice(["Female", "Male"], 1409).tolist(),
        "SeniorCitizen": rng.choice(["0", "1"], 1409, p=[0.84, 0.16]).tolist(),
    }
    return positive, scores, groups


@functools.cache
def evaluation(name: str) -> Evaluation:
    positive, scores, groups = held_out()
    return evaluate(positive, scores[name], 0.5, groups=groups)


def trained() -> TrainReport:
    rng = np.random.default_rng(3)
    trials = []
    for number in range(67):
        family = list(FAMILIES)[number % 4]
        spread = 0.0004 if family == "logistic_regression" else 0.005
        mean = FAMILIES[family] - (abs(rng.normal(0, spread)) if number >= 4 else 0)
        trials.append(
            Trial(
                number=number,
                family=family,
                parameters={"n_estimators": int(rng.integers(60, 300)), "max_depth": int(rng.integers(2, 5))},
                fold_roc_auc=tuple(float(mean + step) for step in (-0.012, -0.004, 0.001, 0.005, 0.010)),
                seconds=float(rng.gamma(2, 0.5)),
            )
        )
    ranked = sorted(FAMILIES, key=lambda family: -FAMILIES[family])
    return TrainReport(
        model="churn",
        kind="train",
        run_id="8a7d3f",
        seed=7,
        folds=5,
        budget_s=25.0,
        search_s=26.1,
        train_rows=5634,
        holdout_rows=1409,
        trials=tuple(trials),
        candidates=tuple(_candidate(family, trials) for family in ranked),
        refused={},
    )


def _candidate(family: str, trials: list[Trial]) -> Candidate:
    features = (("Contract", 0.061), ("tenure", 0.052), ("InternetService", 0.021), ("gender", -0.0002))
    return Candidate(
        family=family,
        trial=max((trial for trial in trials if trial.family == family), key=lambda trial: trial.roc_auc),
        run_id=f"run-of-{family}",
        onnx_digest="sha256:" + "a" * 64,
        converted=Converted(max_difference=2.1e-7, decision_flips=0, rows=4000, size_bytes=180_000),
        evaluation=evaluation("candidate"),
        importance=tuple(Importance(feature=name, mean=mean, sd=0.002) for name, mean in features),
        fit_s=0.4,
    )


def write_gate(
    folder: Path, *, champion: bool = True, verdict: Verdict = Verdict.PASS, family: str = "gradient_boosting"
) -> None:
    positive, scores, _ = held_out()
    seen = roc_auc_difference(positive, scores["candidate"], scores["champion"], seed=1, replications=200)
    minimum = evaluation("candidate").metrics["accuracy"]
    gate_file.write(
        folder,
        candidate=gate_file.judged(evaluation("candidate"), family=family),
        gates=(
            GateResult(
                name="accuracy",
                verdict=verdict,
                seen=minimum,
                allowed=0.75,
                words=f"accuracy: {minimum:.4f} on 1409 held-out rows, at least 0.75 is asked",
            ),
            GateResult(
                name="slices.SeniorCitizen",
                verdict=Verdict.NOT_ENOUGH_EVIDENCE if verdict is Verdict.FAIL else Verdict.PASS,
                seen=None,
                allowed=0.15,
                words="slices.SeniorCitizen: a gap of 0.031; at most 0.15 is allowed",
            ),
        ),
        margin=0.01,
        slice_metric="accuracy",
        champion=gate_file.judged(evaluation("champion"), family="logistic_regression", version=1)
        if champion
        else None,
        difference=seen if champion else None,
        passed_over=(gate_file.PassedOver(family="xgboost", why="it is the very model that is stable already"),),
    )


def manifest() -> Manifest:
    return Manifest(
        model="churn",
        model_version=2,
        run_id="run-of-gradient_boosting",
        family="gradient_boosting",
        feature_set={"name": "churn"},
        threshold=0.5,
        positive="Yes",
        negative="No",
        onnx_digest="sha256:" + "a" * 64,
        metrics=evaluation("candidate").metrics,
        golden=(GoldenRow(features={"tenure": 3}, score=0.7),),
        reference_scores=ReferenceScores(quantiles=(0.0, 1.0)),
    )


def load_report() -> LoadReport:
    rng = np.random.default_rng(4)
    return LoadReport(
        service="churn",
        against="http://127.0.0.1:40001",
        users=50,
        asked_rps=300.0,
        seconds=10.1,
        requests=3012,
        failed=1,
        rps=298.1,
        p50_ms=3.0,
        p95_ms=7.0,
        p99_ms=12.0,
        max_ms=31.0,
        failures=(LoadFailure(words="HTTPError('503 Service Unavailable')", count=1),),
        timeline=tuple(
            LoadPoint(
                at_s=float(second),
                users=50,
                rps=float(min(1, (second + 1) / 3) * 300 + rng.normal(0, 4)),
                failures_per_s=0.0,
                p50_ms=3.0 if second else None,
                p95_ms=float(7 + rng.normal(0, 0.5)) if second else None,
                p99_ms=float(12 + rng.normal(0, 1)) if second else None,
            )
            for second in range(11)
        ),
    )


def load_history() -> str:
    """Return Locust's history of the test: a row for the one kind of request, and one for all kinds."""
    lines = [
        "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,Total Request Count,Total Failure Count",
        *(
            f"{1_795_000_000 + second},50,{kind},0.0,0.0,3,{301 * second},{int(second > 4)}"
            for second in range(11)
            for kind in ("POST,predict by id", ",Aggregated")
        ),
    ]
    return "\n".join(lines) + "\n"


@functools.cache
def rollout_files(outcome: Outcome) -> dict[str, Any]:
    """Return ``status.json``, ``events.json`` and ``traffic.json`` of a rollout that ended like that."""
    truths = {
        Outcome.ROLLED_BACK: Truth(candidate_error_rate=0.3),
        # No proof of the candidate's latency within the planned size: it is half as slow again.
        Outcome.HELD: Truth(candidate_ms=lambda rng, _at_s: rng.lognormvariate(1.75, 0.5)),
    }
    with tempfile.TemporaryDirectory() as folder:
        world = World(spool=Path(folder) / "spool.jsonl", truth=truths.get(outcome, Truth()), seed=3)
        world.install()
        running = world.start(waits_for=("load_test",))
        for _ in range(14):
            world.second(traffic=False)
        world.command(running, Order.PASS, gate="load_test")
        if outcome is Outcome.FAILED:
            world.until(lambda: running.state.label == "CANARY[1]")
        else:
            world.until_ended(running)
        return _as_ship_keeps_it(world, running)


def _as_ship_keeps_it(world: World, running: Any) -> dict[str, Any]:
    events = [views.event(entry) for entry in world.runner.events(running.state.id)]
    status = views.rollout(running, edge_url="http://127.0.0.1:8080", now=world.now)
    counts = status["counts"]
    traffic = {
        "requests": counts["requests"],
        "failed": 0,
        "not_sent": 0,
        "late": 0,
        "by_status": {"200": counts["requests"]},
        "p50_ms": 3.2,
        "p95_ms": 6.1,
        "p99_ms": 8.4,
        "failures": [],
    }
    return {"status.json": status, "events.json": events, "traffic.json": traffic}
