"""The few numbers at the top of the page: those that this run has, the most wanted first. Pure."""

from slipway.pipeline.report import words
from slipway.pipeline.report.values import (
    Absent,
    KeyNumber,
    LoadTest,
    ModelComparison,
    Quality,
    Rollout,
    Search,
    Tone,
)

MOST = 6


def key_numbers(
    *,
    quality: Quality | Absent,
    search: Search | Absent,
    comparison: ModelComparison | Absent,
    load: LoadTest | Absent,
    rollout: Rollout | Absent,
    seconds: float,
    peak_mb: float,
) -> tuple[KeyNumber, ...]:
    """Return at most six numbers; the whole run's time is always among them, as the last."""
    found = [
        *(_of_rollout(rollout) if isinstance(rollout, Rollout) else _of_no_rollout(comparison)),
        *_of_comparison(comparison),
        *_of_load(load),
        *_of_search(search),
        *_of_quality(quality),
    ]
    whole = KeyNumber(
        label="whole run",
        value=words.seconds(seconds),
        note=f"peak memory {words.memory(peak_mb)}" if peak_mb else "",
    )
    return (*found[: MOST - 1], whole)


def _of_no_rollout(comparison: ModelComparison | Absent) -> list[KeyNumber]:
    if isinstance(comparison, Absent):
        return []
    return [KeyNumber(label="users who met the candidate", value="0", note="it got no traffic", tone=Tone.GOOD)]


def _of_rollout(rollout: Rollout) -> list[KeyNumber]:
    failed, requests = rollout.failed_requests_seen_by_users, words.count(rollout.requests)
    return [
        KeyNumber(
            label="failed requests seen by users",
            value=words.count(failed),
            note=f"of {requests} requests",
            tone=Tone.BAD if failed else Tone.GOOD,
        ),
        KeyNumber(
            label="requests sent to the candidate",
            value=words.count(rollout.candidate_requests),
            note=f"{words.count(rollout.candidate.failures)} failed on it",
            tone=Tone.BAD if rollout.candidate.failures else Tone.PLAIN,
        ),
        KeyNumber(label="rollout", value=words.seconds(rollout.seconds), note=rollout.state.lower().replace("_", " ")),
    ]


def _of_comparison(comparison: ModelComparison | Absent) -> list[KeyNumber]:
    if isinstance(comparison, Absent):
        return []
    champion = comparison.champion
    return [
        KeyNumber(
            label="ROC-AUC on held-out rows",
            value=f"{comparison.candidate.metrics['roc_auc']:.3f}",
            note=f"champion {champion.metrics['roc_auc']:.3f}" if champion else "no champion yet",
        )
    ]


def _of_load(load: LoadTest | Absent) -> list[KeyNumber]:
    if isinstance(load, Absent):
        return []
    return [
        KeyNumber(
            label="p99 under load",
            value=words.milliseconds(load.p99_ms),
            note=f"at most {words.milliseconds(load.slo_p99_ms)}",
            tone=Tone.BAD if load.p99_ms > load.slo_p99_ms else Tone.PLAIN,
        )
    ]


def _of_search(search: Search | Absent) -> list[KeyNumber]:
    if isinstance(search, Absent):
        return []
    return [
        KeyNumber(
            label="best cross-validated ROC-AUC",
            value=f"{max(trial.cv_roc_auc for trial in search.trials):.4f}",
            note=f"{len(search.trials)} trials",
        )
    ]


def _of_quality(quality: Quality | Absent) -> list[KeyNumber]:
    if isinstance(quality, Absent):
        return []
    return [
        KeyNumber(
            label="rows in quarantine",
            value=words.count(quality.quarantined_rows),
            note=f"of {words.count(quality.rows)}",
            tone=Tone.BAD if quality.quarantined_rows > quality.max_bad_share * quality.rows else Tone.PLAIN,
        ),
        KeyNumber(label="rows repaired", value=words.count(quality.repaired_rows), note="each with a note"),
    ]
