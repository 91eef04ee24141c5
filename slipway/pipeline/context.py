"""What the steps of one ``ship`` share."""

from dataclasses import dataclass, field
from pathlib import Path

from slipway.pipeline import runs
from slipway.pipeline.cache import Cache
from slipway.pipeline.display import Display
from slipway.pipeline.meter import Meter
from slipway.pipeline.run import Outcome, Run, StepRecord
from slipway.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked of ``ship``; ``data`` is empty for the synthetic set."""

    model: str
    data: Path | None = None
    sabotage: str = ""
    rps: int = 100
    first: str | None = None
    last: str | None = None
    force: bool = False
    actor: str = ""


@dataclass(slots=True, kw_only=True)
class Ship:
    """One run in progress: its record, the outputs of finished steps, and where words go."""

    project: Project
    options: Options
    run: Run
    cache: Cache
    display: Display
    meter: Meter
    outputs: dict[str, Path] = field(default_factory=dict)
    rollout_id: str = ""

    @property
    def service(self) -> str:
        """The service that serves the model: they share a name."""
        return self.options.model

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return runs.folder_of(self.project.home, self.run.id)

    @property
    def finished(self) -> bool:
        """Whether the outcome is known, so that no further step runs."""
        return self.run.outcome is not None

    @property
    def step(self) -> StepRecord:
        """The record of the step that runs now."""
        return self.run.steps[-1]

    def say(self, words: str) -> None:
        """Keep a decision with its reason in the step's record, and show it."""
        self.step.words.append(words)
        self.display.say(words)

    def progress(self, doing: str) -> None:
        """Show how far the step is."""
        self.display.progress(doing)

    def finish(self, outcome: Outcome, reason: str) -> None:
        """End the run after this step."""
        self.run.outcome, self.run.reason = outcome, reason
