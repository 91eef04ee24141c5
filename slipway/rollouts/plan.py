"""The table ``[rollout]`` of a service's ``bento.toml``: how a candidate climbs, and what must be shown on the way."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from slipway.project import Project, load_toml
from slipway.rollouts.errors import InvalidPlan
from slipway.rollouts.routes import WHOLE, Unit

Seconds = Annotated[float, Field(ge=0, le=30 * 24 * 3600)]
Margin = Annotated[float, Field(ge=0, le=100)]


class Strategy(StrEnum):
    """How the candidate gets its traffic."""

    CANARY = "canary"  # step by step, then all of the traffic once no harm is proven
    BLUE_GREEN = "blue_green"  # from nothing to everything, the old release kept warm for the way back
    SHADOW = "shadow"  # mirrored requests only: nobody is answered by the candidate
    AB = "ab"  # one share for a planned time, for an experiment: nothing is promoted


STEPLESS = frozenset({Strategy.BLUE_GREEN, Strategy.SHADOW})


class Table(BaseModel):
    """What all tables of a plan share: unknown keys are refused, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _hundredths(percent: float) -> float:
    if abs(percent * 100 - round(percent * 100)) > 1e-6:  # noqa: PLR2004  a float's rounding, no more
        msg = "the edge splits in hundredths of a percent"
        raise ValueError(msg)
    return percent


class Step(Table):
    """One step of the ramp: the candidate's share in percent, and for how long (the last: for how long at most)."""

    weight: Annotated[float, Field(gt=0, lt=100), AfterValidator(_hundredths)]
    size_s: Annotated[Seconds, Field(gt=0)]

    @property
    def share(self) -> int:
        """Return the weight as the edge counts it, in ten-thousandths."""
        return round(self.weight / 100 * WHOLE)


class ErrorsGuardrail(Table):
    """Failed requests.

    Promotion needs proof that the candidate fails at most ``1 + margin`` times as often as stable, or less often than
    ``delta``, the absolute tolerance. Rollback: more often than stable, or more often than ``limit``.
    """

    margin: Margin = 1.0
    delta: Annotated[float, Field(gt=0, lt=0.5)] = 0.005
    limit: Annotated[float, Field(gt=0, lt=1)] = 0.05


class SlowGuardrail(Table):
    """Slow requests, by stable's 95th percentile.

    A stable request is slow above stable's p95, a candidate's above ``max(ratio x p95, p95 + floor_ms)``: an honestly
    slower but good model must not be taken back.
    """

    margin: Margin = 1.0
    ratio: Annotated[float, Field(ge=1, le=100)] = 1.25
    floor_ms: Annotated[float, Field(ge=0, le=60_000)] = 5.0


class SloGuardrail(Table):
    """The candidate's share of requests slower than ``ms`` is at most ``share``, whatever stable's is."""

    ms: Annotated[float, Field(gt=0, le=60_000)]
    share: Annotated[float, Field(gt=0, lt=1)] = 0.01


class LatencyGuardrail(Table):
    """The candidate's geometric mean latency is at most ``ratio`` times stable's, or ``floor_ms`` above it."""

    ratio: Annotated[float, Field(ge=1, le=100)] = 1.25
    floor_ms: Annotated[float, Field(ge=0, le=60_000)] = 5.0


class FallbackGuardrail(Table):
    """Predictions from defaults instead of features: at most ``1 + margin`` times as often as stable.

    A prediction that is no number is answered as an error, and counted as one.
    """

    margin: Margin = 1.0


class DriftGuardrail(Table):
    """Each arm's scores against those of its own model's hold-out rows; ``effect``: by how much a tenth may move."""

    effect: Annotated[float, Field(gt=0, lt=0.9)] = 0.1


class SampleRatioGuardrail(Table):
    """Units are assigned as the weights say; a hit voids the counts."""

    alpha: Annotated[float, Field(gt=0, le=0.05)] = 0.001


class Guardrails(Table):
    """What is watched; ``errors`` and ``p95`` must prove no harm before a promotion, the others only stop one."""

    errors: ErrorsGuardrail = ErrorsGuardrail()
    p95: SlowGuardrail = SlowGuardrail()
    p99: SlowGuardrail = SlowGuardrail()
    slo: SloGuardrail | None = None
    latency: LatencyGuardrail = LatencyGuardrail()
    fallback: FallbackGuardrail = FallbackGuardrail()
    drift: DriftGuardrail = DriftGuardrail()
    sample_ratio: SampleRatioGuardrail = SampleRatioGuardrail()


class RolloutPlan(Table):
    """One plan; the defaults fit a minute at 100 requests a second.

    >>> RolloutPlan().steps[-1].share
    5000
    """

    strategy: Strategy = Strategy.CANARY
    shadow_s: Seconds = 5.0
    steps: tuple[Step, ...] = (
        Step(weight=5, size_s=8),
        Step(weight=25, size_s=12),
        Step(weight=50, size_s=40),
    )
    soak_s: Seconds = 5.0
    hold_s: Seconds = 0.0
    unit: Unit = Unit.USER
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    guardrails: Guardrails = Guardrails()
    # For how long nothing may be seen (no requests, no edge, no weights confirmed) before the candidate goes back to 0.
    blind_s: Seconds = 60.0
    # For how long gates (the load test) may stay open: a client that died must not leave a process behind.
    gates_s: Seconds = 600.0
    # Whether somebody must approve before all of the traffic moves, and for how long that is waited for.
    approval: bool = False
    approval_s: Seconds = 24 * 3600.0

    @model_validator(mode="before")
    @classmethod
    def _without_steps(cls, table: Any) -> Any:
        if isinstance(table, Mapping) and table.get("strategy") in STEPLESS:
            return {"steps": (), **table}
        return table

    @model_validator(mode="after")
    def _rises(self) -> Self:
        weights = [step.weight for step in self.steps]
        if self.strategy in STEPLESS:
            if weights:
                msg = f"strategy {self.strategy} has no steps, got weights {weights}; leave them out or take canary"
                raise ValueError(msg)
            return self
        if self.strategy is Strategy.AB and len(weights) != 1:
            msg = f"strategy ab has exactly one step, its share and duration, got weights {weights}"
            raise ValueError(msg)
        if not weights or any(after <= before for before, after in pairwise(weights)):
            msg = f"weights of steps must rise, got {weights}; for example 5, 25, 50"
            raise ValueError(msg)
        return self

    @classmethod
    def parse(cls, table: Mapping[str, Any], *, where: str = "bento.toml") -> Self:
        """Read the table; raise :class:`InvalidPlan` naming the key.

        >>> RolloutPlan.parse({"alpha": 2})
        Traceback (most recent call last):
        slipway.rollouts.errors.InvalidPlan: bento.toml [rollout] alpha = 2: Input should be less than or equal to 0.2
        """
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            seen = f" {key} = {first['input']!r}" if key else ""
            allowed = f"; allowed keys are {', '.join(cls.model_fields)}" if first["type"] == "extra_forbidden" else ""
            msg = f"{where} [rollout]{seen}: {first['msg'].removeprefix('Value error, ')}{allowed}"
            raise InvalidPlan(msg) from None

    @classmethod
    def load(cls, project: Project, service: str) -> Self:
        """Read the plan of a service from its ``bento.toml``; without the table, the defaults."""
        path = project.bentos_dir / service / "bento.toml"
        return cls.parse(load_toml(path).get("rollout", {}), where=project.relative(path))
