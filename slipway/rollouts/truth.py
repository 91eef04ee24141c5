"""The table ``[truth]`` of a simulation: how the traffic and both releases really behave."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from slipway.rollouts.plan import Table

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e9)]


class Equal(Table):
    """Every user is as active as any other."""

    kind: Literal["fixed"] = "fixed"


class Pareto(Table):
    """Few users make most of the requests; the smaller the shape, the fewer."""

    kind: Literal["pareto"]
    shape: Positive = 1.5


class Lognormal(Table):
    """Latencies around a median; ``slow_share`` of the requests take ``slow_factor`` times as long."""

    kind: Literal["lognormal"] = "lognormal"
    median_ms: Positive = 5.0
    sigma: Annotated[float, Field(ge=0, le=5)] = 0.4
    slow_share: Share = 0.0
    slow_factor: Positive = 5.0


class HeavyTail(Table):
    """Pareto latencies: never below the scale."""

    kind: Literal["pareto"]
    scale_ms: Positive = 3.0
    shape: Positive = 2.5


Latency = Annotated[Lognormal | HeavyTail, Field(discriminator="kind")]


class Errors(Table):
    """Each arm's share of failing requests."""

    stable: Share = 0.0
    candidate: Share = 0.0


class Latencies(Table):
    """Each arm's latency."""

    stable: Latency = Lognormal()
    candidate: Latency = Lognormal()


class Course(StrEnum):
    """How the base rate of errors moves while a rollout goes on, for both arms alike."""

    CONSTANT = "constant"
    SINE = "sine"
    STEP = "step"
    RANDOM_WALK = "random_walk"


class Drift(Table):
    """``size``: by how much of itself the base rate moves; ``period_s``: a sine's period, or when a step happens."""

    course: Course = Course.CONSTANT
    size: Annotated[float, Field(ge=0, le=1)] = 0.5
    period_s: Positive = 30.0


class Truth(Table):
    """What a simulated rollout meets.

    ``clustering``: the intra-user correlation of errors (0: independent requests). ``correlation``: between slow and
    failed requests. ``lost``: the share of the candidate's requests that never reach the log.
    ``pause_above_log_e``: a step's time stands still while the errors' log e-value for harm is above this, so that
    steps are as long as what was seen makes them.
    """

    rps: Positive = 100.0
    users: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    activity: Annotated[Equal | Pareto, Field(discriminator="kind")] = Equal()
    errors: Errors = Errors()
    latency: Latencies = Latencies()
    drift: Drift = Drift()
    clustering: Annotated[float, Field(ge=0, lt=1)] = 0.0
    correlation: Annotated[float, Field(ge=0, le=1)] = 0.0
    lost: Share = 0.0
    pause_above_log_e: float | None = None

    @model_validator(mode="after")
    def _can_move(self) -> Self:
        highest = max(self.errors.stable, self.errors.candidate)
        if self.drift.course is not Course.CONSTANT and highest * (1 + self.drift.size) > 1:
            msg = f"errors of {highest} that move by {self.drift.size} of themselves pass 1; lower one of them"
            raise ValueError(msg)
        return self
