"""What a report shows, as frozen values: no files, no clock, no markup. ``collect`` makes, ``render`` draws them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Tone(StrEnum):
    """How a fact should feel to its reader; every tone also has a word or a sign beside its colour."""

    GOOD = "good"
    BAD = "bad"
    HELD = "held"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A section that the run has no material for, and the one sentence that says why.

    ``broken`` tells a file that should be there and can't be read from a step that was not reached.
    """

    why: str
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome in one sentence, and the reason."""

    outcome: str
    headline: str
    why: str
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNumber:
    """A number that a reader looks for first."""

    label: str
    value: str
    note: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBar:
    """One step on the timeline; ``left`` and ``width`` are shares of the run, ``memory_share`` of the highest peak."""

    name: str
    about: str
    outcome: str
    tone: Tone
    seconds: float
    cached: bool
    retries: int
    peak_mb: float
    left: float
    width: float
    memory_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many rows a repair or a check was about."""

    what: str
    why: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of the data contract."""

    name: str
    rule: str
    passed: bool
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The shape of one column: shares of its bins or words, each with its label; ``ends`` of a number's range."""

    column: str
    kind: str
    summary: str
    labels: tuple[str, ...]
    shares: tuple[float, ...]
    ends: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What ingestion found in the raw file."""

    file: str
    rows: int
    clean_rows: int
    repaired_rows: int
    quarantined_rows: int
    max_bad_share: float
    repairs: tuple[Count, ...]
    quarantine: tuple[Count, ...]
    checks: tuple[Check, ...]
    profiles: tuple[Profile, ...]
    columns: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One cross-validated trial of the search."""

    family: str
    cv_roc_auc: float
    seconds: float
    params: str
    spread: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The search for a candidate; ``chosen`` is the family that went on to the gate."""

    trials: tuple[Trial, ...]
    chosen: str
    budget_s: float
    spent_s: float
    folds: int
    rows: int
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def families(self) -> tuple[str, ...]:
        """The families, the one with the best trial first."""
        best: dict[str, float] = {}
        for trial in self.trials:
            best[trial.family] = max(trial.cv_roc_auc, best.get(trial.family, 0.0))
        return tuple(sorted(best, key=lambda family: -best[family]))

    def best(self, family: str) -> Trial:
        """Return the best trial of a family."""
        return max((trial for trial in self.trials if trial.family == family), key=lambda trial: trial.cv_roc_auc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points of a curve, in the order in which they are drawn."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Held-out rows with similar scores: their mean score, the share that was positive, how many there are."""

    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One model's results on the held-out rows."""

    name: str
    family: str
    metrics: Mapping[str, float]
    roc: Curve
    pr: Curve
    calibration: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Candidate minus champion on the same rows, with its paired interval and the margin of non-inferiority."""

    key: str
    metric: str
    estimate: float
    low: float
    high: float
    confidence: float
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """A metric within one slice of the held-out rows; no champion where there is none, or too few rows."""

    column: str
    value: str
    rows: int
    candidate: float
    champion: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate's answer in words."""

    name: str
    tone: Tone
    verdict: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """How much ROC-AUC a model loses when a feature is shuffled among the held-out rows, and how that varies."""

    feature: str
    loss: float
    sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """The candidate against the champion; without a champion it stands against the minimum values alone."""

    rows: int
    base_rate: float
    candidate: Scored
    champion: Scored | None
    difference: Difference | None
    slice_metric: str
    slice_whole: float | None
    slices: tuple[SliceScore, ...]
    gates: tuple[Gate, ...]
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPoint:
    """A second of the load test, the one that ended at ``at_s``; latencies are of the ten seconds before."""

    at_s: float
    rps: float
    failures_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTest:
    """The load test of the candidate against its objectives."""

    users: int
    seconds: float
    requests: int
    failures: int
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slo_p99_ms: float
    slo_error_rate: float
    slo_min_rps: float
    points: tuple[LoadPoint, ...]
    gates: tuple[Gate, ...]
    locust_link: str
    failed_because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmWindow:
    """What one arm did in one look's window; a latency is absent where nothing was asked."""

    requests: int = 0
    failures: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look of the controller, ``at_s`` after the rollout was opened; ``seconds`` is the length of its window."""

    at_s: float
    seconds: float
    stable: ArmWindow
    candidate: ArmWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stretch of time in one state; ``weight`` is the share of traffic that the new release answers in it."""

    state: str
    name: str
    start_s: float
    end_s: float
    weight: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """A log e-value over time and the line at which it decides."""

    at_s: tuple[float, ...]
    log_e: tuple[float, ...]
    line: float

    @property
    def highest(self) -> float:
        return max(self.log_e, default=0.0)

    @property
    def crossed_at_s(self) -> float | None:
        """When it first reached its line, if it did."""
        return next((at for at, value in zip(self.at_s, self.log_e, strict=True) if value >= self.line), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """The evidence of one guardrail, for both sides; a side that it can't decide is absent."""

    name: str
    title: str
    about: str
    words: str
    promote: Climb | None
    roll_back: Climb | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that was decided, when, by which step, in words."""

    at: datetime
    at_s: float
    step: str
    words: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTotal:
    """What one release did in the whole rollout; latencies are those of the middle look."""

    requests: int
    failures: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the traffic generator, on the users' side of the edge, counted."""

    requests: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The rollout, from its journal; ``failed_requests_seen_by_users`` is the larger of both sides' counts."""

    id: str
    state: str
    tone: Tone
    decided_by: str
    reason: str
    seconds: float
    requests: int
    candidate_requests: int
    failed_requests_seen_by_users: int
    failed_in_access_log: int
    stable_name: str
    candidate_name: str
    stable: ArmTotal
    candidate: ArmTotal
    traffic: Traffic | None
    looks: tuple[Look, ...]
    stages: tuple[Stage, ...]
    guardrails: tuple[Guardrail, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact for lineage: a version, a digest, a commit."""

    name: str
    value: str
    note: str = ""
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the page of one run shows."""

    run_id: str
    model: str
    started_at: datetime
    seconds: float
    peak_mb: float
    sabotage: str
    verdict: Verdict
    key_numbers: tuple[KeyNumber, ...]
    steps: tuple[StepBar, ...]
    quality: Quality | Absent
    search: Search | Absent
    importance: tuple[Importance, ...]
    comparison: ModelComparison | Absent
    load: LoadTest | Absent
    rollout: Rollout | Absent
    decisions: tuple[Moment, ...]
    facts: tuple[Fact, ...]
    broken: tuple[str, ...] = ()
