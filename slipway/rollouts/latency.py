"""Stable's latency in the present regime: what "slow" is measured from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StableLatency:
    """Over how many requests, in milliseconds; ``mean_log_ms`` is the mean of their natural logarithms."""

    requests: int = 0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    mean_log_ms: float = 0.0
