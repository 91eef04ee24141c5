"""Runs steps one after the other: from the cache where nothing changed, retried where the cause is transient."""

import errno
import logging
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import tenacity

from slipway.errors import GateRefused, SlipwayError
from slipway.pipeline import runs
from slipway.pipeline.errors import StepFailed, UnknownStep
from slipway.pipeline.run import StepOutcome, StepRecord

if TYPE_CHECKING:
    from slipway.pipeline.context import Ship

log = logging.getLogger(__name__)

ATTEMPTS_PER_STEP = 4
RETRIES_PER_RUN = 8
# Named, not imported: a cached run must not load the libraries that raise them.
TRANSIENT = frozenset(
    {
        "builtins.ConnectionError",
        "builtins.TimeoutError",
        "httpx.TransportError",
        "psycopg.OperationalError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "requests.exceptions.ConnectionError",
    }
)
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of ``ship``.

    ``run`` writes its outputs below the folder it is given; ``key`` is the digest of everything they are made from, or
    nothing for a step that acts on the world and is asked anew each time.
    """

    name: str
    about: str
    run: "Callable[[Ship, Path], None]"
    key: "Callable[[Ship], str] | None" = None
    wanted: "Callable[[Ship], bool]" = lambda _ship: True


def between(steps: Sequence[Step], first: str | None, last: str | None) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Split ``steps`` into those that must already be there and those to run; unknown names are refused."""
    names = [step.name for step in steps]
    for name in (first, last):
        if name is not None and name not in names:
            raise UnknownStep(f"unknown step '{name}'; the steps are: {', '.join(names)}")
    start = names.index(first) if first else 0
    end = names.index(last) + 1 if last else len(steps)
    if start >= end:
        raise UnknownStep(f"--from {first} comes after --until {last}; the order is: {', '.join(names)}")
    return tuple(steps[:start]), tuple(steps[start:end])


def run_steps(ship: "Ship", steps: Sequence[Step], *, needed: Sequence[Step] = (), force: bool = False) -> None:
    """Run ``steps``; outputs of ``needed`` ones are taken from the cache, where they must be."""
    for step in needed:
        if step.key is not None and step.wanted(ship):
            ship.outputs[step.name] = _cached_or_refuse(ship, step)
    for step in steps:
        if ship.finished:
            return
        if step.wanted(ship):
            run_step(ship, step, force=force)


def _cached_or_refuse(ship: "Ship", step: Step) -> Path:
    assert step.key is not None  # noqa: S101  the caller asked
    folder = ship.cache.find(step.name, step.key(ship))
    if folder is None:
        raise StepFailed(f"step '{step.name}' has no outputs for these inputs yet; run without --from, or from it")
    return folder


def run_step(ship: "Ship", step: Step, *, force: bool = False) -> None:
    """Run one step and keep its record, however it ends."""
    record = StepRecord(name=step.name, started_at=datetime.now(UTC).isoformat())
    ship.run.steps.append(record)
    runs.save(ship.project.home, ship.run)
    ship.display.begin(step.name, step.about)
    began = monotonic()
    ship.meter.mark()
    try:
        for attempt in _attempts(ship, record):
            with attempt:
                _once(ship, step, record, force=force)
        record.outcome = StepOutcome.DONE
    except GateRefused:
        record.outcome = StepOutcome.REFUSED
        raise
    except SlipwayError:
        record.outcome = StepOutcome.FAILED
        raise
    except KeyboardInterrupt:
        record.outcome = StepOutcome.INTERRUPTED
        raise
    except Exception as error:
        record.outcome = StepOutcome.FAILED
        raise StepFailed(_unexpected(ship, step.name, error)) from error
    finally:
        record.seconds = monotonic() - began
        record.peak_mb = round(ship.meter.mark(), 1)
        ship.display.end(record)
        runs.save(ship.project.home, ship.run)


def _once(ship: "Ship", step: Step, record: StepRecord, *, force: bool) -> None:
    record.words.clear()
    if step.key is None:
        folder = runs.folder_of(ship.project.home, ship.run.id) / step.name
        folder.mkdir(parents=True, exist_ok=True)
        ship.outputs[step.name] = folder
        step.run(ship, folder)
    else:
        key = step.key(ship)
        folder_found = None if force else ship.cache.find(step.name, key)
        if folder_found is None:
            with ship.cache.filling(step.name, key) as partial:
                try:
                    step.run(ship, partial)
                except SlipwayError:
                    _keep_why(ship, record, partial)
                    raise
                (partial / "words.txt").write_text("\n".join(record.words), encoding="utf-8")
            folder_found = ship.cache.find(step.name, key)
            assert folder_found is not None  # noqa: S101  it was renamed into place just now
        else:
            record.cached = True
            record.words.extend((folder_found / "words.txt").read_text(encoding="utf-8").splitlines())
        folder = folder_found
        ship.outputs[step.name] = folder
    record.folder = str(folder)


def _keep_why(ship: "Ship", record: StepRecord, partial: Path) -> None:
    """A refused step leaves nothing in the cache; what it found wrong stays with the run, for the report."""
    if any(partial.iterdir()):
        kept = runs.folder_of(ship.project.home, ship.run.id) / record.name
        shutil.copytree(partial, kept, dirs_exist_ok=True)
        record.folder = str(kept)


def _attempts(ship: "Ship", record: StepRecord) -> Iterator[tenacity.AttemptManager]:
    def before_sleep(state: tenacity.RetryCallState) -> None:
        record.retries += 1
        error = state.outcome.exception() if state.outcome else None
        log.warning("step.retried", extra={"step": record.name, "error": str(error)})
        ship.display.say(f"a transient failure, trying again ({record.retries}): {_first_line(error)}")

    def may_retry(error: BaseException) -> bool:
        spent = sum(step.retries for step in ship.run.steps)
        return is_transient(error) and spent < RETRIES_PER_RUN

    return iter(
        tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS_PER_STEP),
            wait=tenacity.wait_exponential_jitter(initial=1, max=8),
            retry=tenacity.retry_if_exception(may_retry),
            before_sleep=before_sleep,
            reraise=True,
        )
    )


def is_transient(error: BaseException) -> bool:
    """Tell whether a second try may go better: a server restarting, a connection that broke.

    >>> is_transient(ConnectionResetError("peer")), is_transient(ValueError("bad"))
    (True, False)
    """
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__
    names = {f"{kind.__module__}.{kind.__qualname__}" for link in chain for kind in type(link).__mro__}
    return not TRANSIENT.isdisjoint(names)


def _unexpected(ship: "Ship", step: str, error: Exception) -> str:
    home = ship.project.home
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return (
            f"step '{step}': no space left on the disk of {home}; nothing was registered or sent to users; "
            "free some space or set SLIPWAY_HOME to a larger disk, then run the same command again"
        )
    details = runs.folder_of(home, ship.run.id) / "error.log"
    details.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    again = "run the same command again to go on from here"
    if is_transient(error):
        return (
            f"step '{step}': a server did not answer, after {ATTEMPTS_PER_STEP} attempts: {_first_line(error)}; "
            f"see 'slipway status' and 'slipway logs NAME', then {again}"
        )
    kind = type(error).__name__
    return f"step '{step}' ended unexpectedly: {kind}: {_first_line(error)}; details in {details}; {again}"


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
