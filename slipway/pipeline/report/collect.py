"""From one run's record and the files of its steps to what the report shows."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from slipway.bentos.release import Release
from slipway.models.bundle import MANIFEST_FILE, Manifest
from slipway.monitoring.slo import Slo
from slipway.pipeline import lineage, runs
from slipway.pipeline.report import (
    collect_data,
    collect_facts,
    collect_load,
    collect_model,
    collect_rollout,
    collect_search,
    gate_file,
    material,
    story,
)
from slipway.pipeline.report.collect_rollout import Journal
from slipway.pipeline.report.errors import MaterialUnreadable
from slipway.pipeline.report.key_numbers import key_numbers
from slipway.pipeline.report.values import Absent, Moment, Report, Rollout, StepBar, Tone
from slipway.pipeline.run import Outcome, Run, StepOutcome, StepRecord
from slipway.project import Project, load_toml

log = logging.getLogger(__name__)

T = TypeVar("T")

TONES = {
    StepOutcome.DONE: Tone.GOOD,
    StepOutcome.RUNNING: Tone.PLAIN,
    StepOutcome.REFUSED: Tone.BAD,
    StepOutcome.FAILED: Tone.BAD,
    StepOutcome.INTERRUPTED: Tone.BAD,
}


def collect(project: Project, run: Run) -> Report:
    """Return everything that the page of a run shows.

    A section whose step was not reached is :class:`Absent`, with the reason. A file that should be there and can't be
    read makes its section absent too, but ``broken``: the page says so at its top, and the log has it as an error.
    """
    home = runs.folder_of(project.home, run.id)
    left = _Left(run, home)
    found = left.section("ingest", collect_data.read)
    quality = found if isinstance(found, Absent) else collect_data.quality(found)
    gate = left.section("gate", gate_file.read)
    trained = left.section("train", collect_search.read)
    chosen = "" if isinstance(gate, Absent) else gate.candidate.family
    search = trained if isinstance(trained, Absent) else collect_search.search(trained, chosen=chosen)
    comparison = gate if isinstance(gate, Absent) else collect_model.comparison(gate, run)
    load = left.section("loadtest", lambda folder: collect_load.load_test(folder, _slo(project, run), run_folder=home))
    journal = left.section("rollout", collect_rollout.read)
    rollout = journal if isinstance(journal, Absent) else collect_rollout.rollout(journal)
    shown = [step for step in run.steps if not (step.name == "report" and step.outcome is StepOutcome.RUNNING)]
    seconds = max([run.seconds, *(_began_s(run, step) + step.seconds for step in shown)])
    peak_mb = max([run.peak_mb, *(step.peak_mb for step in shown)])
    return Report(
        run_id=run.id,
        model=run.model,
        started_at=datetime.fromisoformat(run.started_at),
        seconds=seconds,
        peak_mb=peak_mb,
        sabotage=run.sabotage,
        verdict=story.verdict(run, rollout_reason=_reason(run, rollout)),
        key_numbers=key_numbers(
            quality=quality,
            search=search,
            comparison=comparison,
            load=load,
            rollout=rollout,
            seconds=seconds,
            peak_mb=peak_mb,
        ),
        steps=tuple(_bar(run, step, seconds, peak_mb) for step in shown),
        quality=quality,
        search=search,
        importance=() if isinstance(trained, Absent) else collect_search.importance(trained, chosen),
        comparison=comparison,
        load=load,
        rollout=rollout,
        decisions=_decisions(run, shown, journal),
        facts=collect_facts.facts(
            run,
            checkout=lineage.of_checkout(project),
            quality=None if isinstance(found, Absent) else found,
            manifest=left.file("register", f"bundle/{MANIFEST_FILE}", Manifest),
            release=left.file("package", "release.json", Release),
            rollout_id="" if isinstance(rollout, Absent) else rollout.id,
        ),
        broken=tuple(left.broken),
    )


class _Left:
    """What the steps of a run left behind, and what of it was broken."""

    def __init__(self, run: Run, home: Path) -> None:
        self._run, self._home = run, home
        self.broken: list[str] = []

    def folder(self, name: str) -> Path | None:
        """Return the folder of a step's outputs, or nothing where it left none."""
        step = self._run.step(name)
        if step is None:
            return None
        own = self._home / name
        return Path(step.folder) if step.folder else own if own.is_dir() else None

    def section(self, name: str, read: Callable[[Path], T]) -> T | Absent:
        """Return what ``read`` makes of a step's folder, or why there is nothing."""
        folder, step = self.folder(name), self._run.step(name)
        if folder is None or step is None:
            return Absent(why=story.why_absent(self._run, name))
        try:
            return read(folder)
        except MaterialUnreadable as error:
            left_nothing = folder.is_dir() and not any(folder.iterdir())
            if error.missing and (left_nothing or story.may_be_missing(self._run, step)):
                return Absent(why=story.why_absent(self._run, name))
            self._note(name, error)
            return Absent(why=f"This section can't be drawn: {error}", broken=True)

    def file(self, name: str, file: str, kind: type[T]) -> T | None:
        """Return one file of a step, or nothing where the step did not end well."""
        folder, step = self.folder(name), self._run.step(name)
        if folder is None or step is None or step.outcome is not StepOutcome.DONE:
            return None
        try:
            return material.read(folder / file, kind)
        except MaterialUnreadable as error:
            self._note(name, error)
            return None

    def _note(self, name: str, error: MaterialUnreadable) -> None:
        log.error("report.material_unreadable", extra={"run": self._run.id, "step": name, "reason": str(error)})
        self.broken.append(str(error))


def _reason(run: Run, rollout: Rollout | Absent) -> str:
    decided = {Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.HELD}
    return rollout.reason if isinstance(rollout, Rollout) and run.outcome in decided else ""


def _slo(project: Project, run: Run) -> Slo:
    path = project.bentos_dir / run.model / "bento.toml"
    return Slo.parse(load_toml(path).get("slo", {}), where=project.relative(path))


def _began_s(run: Run, step: StepRecord) -> float:
    began = datetime.fromisoformat(step.started_at) - datetime.fromisoformat(run.started_at)
    return max(0.0, began.total_seconds())


def _bar(run: Run, step: StepRecord, seconds: float, peak_mb: float) -> StepBar:
    whole = max(seconds, 1e-9)
    left = _began_s(run, step) / whole
    return StepBar(
        name=step.name,
        about=story.STEPS.get(step.name, ""),
        outcome=step.outcome,
        tone=TONES[step.outcome],
        seconds=step.seconds,
        cached=step.cached,
        retries=step.retries,
        peak_mb=step.peak_mb,
        left=left,
        width=min(step.seconds / whole, 1 - left),
        memory_share=step.peak_mb / peak_mb if peak_mb else 0.0,
    )


def _decisions(run: Run, steps: list[StepRecord], journal: Journal | Absent) -> tuple[Moment, ...]:
    """Return what steps said, at the times they ended, among what the rollout decided, at its own times."""
    start = datetime.fromisoformat(run.started_at)
    told: tuple[Moment, ...] = () if isinstance(journal, Absent) else collect_rollout.moments(journal, start)
    known = tuple({moment.words for moment in told})
    moments = [
        Moment(
            at=start + timedelta(seconds=ended_s),
            at_s=ended_s,
            step=step.name,
            words=words,
            tone=Tone.PLAIN if step.outcome is StepOutcome.DONE else TONES[step.outcome],
        )
        for step in steps
        for ended_s in (_began_s(run, step) + step.seconds,)
        for words in step.words
        if not words.endswith(known)  # as in "SHADOW: the reason that the journal has too"
    ]
    return tuple(sorted((*moments, *told), key=lambda moment: moment.at))
