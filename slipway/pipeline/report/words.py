"""How the report writes numbers, names and times. Pure functions; the template uses them as filters."""

from datetime import UTC, datetime, timedelta

METRICS = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "f1_weighted": "weighted F1",
    "brier": "Brier score",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "selection_rate": "selection rate",
    "false_positive_rate": "false positive rate",
}
LOWER_IS_BETTER = frozenset({"brier", "log_loss", "calibration_error", "false_positive_rate"})

MINUTE_S = 60
PRECISE_BELOW_S = 10
GB = 1000


def count(number: float) -> str:
    """Write a count, or a measured number of three digits, as people do.

    >>> count(7043), count(12.34), count(0.1234), count(580.8)
    ('7,043', '12.3', '0.123', '581')
    """
    if number == round(number):
        return f"{number:,.0f}"
    if abs(number) >= 100:  # noqa: PLR2004  three digits are enough for any measured number
        return f"{number:,.0f}"
    return f"{number:.3g}"


def seconds(span_s: float) -> str:
    """Write a span of time.

    >>> seconds(0), seconds(0.02), seconds(7.36), seconds(61.2), seconds(151), seconds(3600)
    ('0 s', '0.02 s', '7.4 s', '61 s', '2 min 31 s', '60 min 0 s')
    """
    if span_s == 0:
        return "0 s"
    if span_s < 1:
        return f"{span_s:.2f} s"
    if span_s < PRECISE_BELOW_S:
        return f"{span_s:.1f} s"
    if span_s < 2 * MINUTE_S:
        return f"{span_s:.0f} s"
    minutes, rest = divmod(round(span_s), MINUTE_S)
    return f"{minutes} min {rest} s"


def memory(size_mb: float) -> str:
    """Write an amount of memory.

    >>> memory(310.2), memory(1910)
    ('310 MB', '1.9 GB')
    """
    return f"{size_mb:.0f} MB" if size_mb < GB else f"{size_mb / GB:.1f} GB"


def milliseconds(span_ms: float | None) -> str:
    """Write a latency.

    >>> milliseconds(8.64), milliseconds(152.3), milliseconds(None)
    ('8.6 ms', '152 ms', 'none')
    """
    if span_ms is None:
        return "none"
    return f"{span_ms:.1f} ms" if span_ms < PRECISE_BELOW_S else f"{span_ms:.0f} ms"


def share(part: float) -> str:
    """Write a share of one.

    >>> share(0.05), share(0.0021), share(0), share(0.12345), share(1), share(0.9999)
    ('5 %', '0.21 %', '0 %', '12.3 %', '100 %', '99.99 %')
    """
    percent = 100 * part
    digits = 2 if percent < 1 or 99 < percent < 100 else 1  # noqa: PLR2004  near the ends digits tell
    return f"{percent:.{digits}f}".rstrip("0").rstrip(".") + " %"


def metric_name(key: str) -> str:
    """Return what people call a metric.

    >>> metric_name("f1_weighted"), metric_name("some_new_one")
    ('weighted F1', 'some new one')
    """
    return METRICS.get(key, key.replace("_", " "))


def family(name: str) -> str:
    """Return what people call a family of models.

    >>> family("logistic_regression"), family("xgboost")
    ('logistic regression', 'XGBoost')
    """
    return {"xgboost": "XGBoost"}.get(name, name.replace("_", " "))


def sentence(text: str) -> str:
    """Begin with a capital and end with a full stop.

    >>> sentence("errors: 3 of 20 failed"), sentence("")
    ('Errors: 3 of 20 failed.', '')
    """
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def day(at: datetime) -> str:
    """Write a point in time for a headline.

    >>> day(datetime(2026, 11, 1, 9, 5, tzinfo=UTC))
    '1 November 2026, 09:05 UTC'
    """
    at = at.astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def clock(at: datetime) -> str:
    """Write the time of day of a decision.

    >>> clock(datetime(2026, 11, 1, 9, 5, 7, tzinfo=UTC))
    '09:05:07'
    """
    return f"{at.astimezone(UTC):%H:%M:%S}"


def after(start: datetime, span_s: float) -> datetime:
    """Return the point in time so many seconds later."""
    return start + timedelta(seconds=span_s)


def listed(names: list[str]) -> str:
    """Write names as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
