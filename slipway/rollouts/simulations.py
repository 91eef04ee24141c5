"""Many simulated rollouts: a file with ``[rollout]`` and ``[truth]``, run in processes, and what came of it."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from slipway.project import load_toml
from slipway.rollouts.errors import InvalidPlan
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.simulator import Simulated, simulate
from slipway.rollouts.state import Phase
from slipway.rollouts.truth import Truth

TABLES = {"rollout", "truth"}
BATCH = 25


def load(file: Path) -> tuple[RolloutPlan, Truth]:
    """Read a simulation's file; raise :class:`InvalidPlan` naming the table and key."""
    tables = load_toml(file)
    if unknown := sorted(set(tables) - TABLES):
        msg = f"{file.name}: unknown table [{unknown[0]}]; a simulation has [rollout] and [truth]"
        raise InvalidPlan(msg)
    try:
        truth = Truth.model_validate(tables.get("truth", {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        msg = f"{file.name} [truth] {key} = {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
        raise InvalidPlan(msg) from None
    return RolloutPlan.parse(tables.get("rollout", {}), where=file.name), truth


def run(
    plan: RolloutPlan,
    truth: Truth,
    *,
    replications: int,
    seed: int,
    workers: int | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Return the counts over all replications; the same for any number of workers."""
    batches = [range(start, min(start + BATCH, replications)) for start in range(0, replications, BATCH)]
    work = partial(_batch, plan, truth, seed)
    workers = workers or len(os.sched_getaffinity(0))
    done: list[Simulated] = []
    if workers == 1:
        for batch in batches:
            done += work(batch)
            on_progress(len(done))
        return summary(done)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for some in pool.map(work, batches):
            done += some
            on_progress(len(done))
    return summary(done)


def _batch(plan: RolloutPlan, truth: Truth, seed: int, numbers: Iterable[int]) -> list[Simulated]:
    return [simulate(plan, truth, seed=(seed, number)) for number in numbers]


def summary(done: list[Simulated]) -> dict[str, Any]:
    """Return what came of simulated rollouts; ``deciding`` counts the guardrail that ended those not promoted."""
    phases = Counter(one.phase for one in done)
    return {
        "replications": len(done),
        "promoted": phases[Phase.PROMOTED],
        "rolled_back": phases[Phase.ROLLED_BACK],
        "held": phases[Phase.HELD],
        "observed": phases[Phase.OBSERVED],
        "candidate_requests": _spread([one.candidate_requests for one in done]),
        "seconds": _spread([one.seconds for one in done]),
        "failed_requests_seen_by_users": sum(one.failed_requests_seen_by_users for one in done),
        "deciding": dict(Counter(one.decided_by for one in done if one.phase is not Phase.PROMOTED).most_common()),
    }


def _spread(values: list[float]) -> dict[str, float]:
    median, p95 = np.quantile(values, (0.5, 0.95)) if values else (0.0, 0.0)
    return {"median": round(float(median), 3), "p95": round(float(p95), 3)}
