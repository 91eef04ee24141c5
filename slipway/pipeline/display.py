"""The live display of a run: which step, how long, what was decided and why. Words only; data goes elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from slipway.pipeline.run import StepOutcome, StepRecord

MARKS = {
    StepOutcome.DONE: ("✔", "green"),
    StepOutcome.REFUSED: ("✋", "yellow"),
    StepOutcome.FAILED: ("✘", "red"),
    StepOutcome.INTERRUPTED: ("■", "yellow"),
}


class Display:
    """Shows steps as they run: a live line on a terminal, plain lines where standard error is a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._step = ""
        self._since = 0.0
        self._doing = ""
        self._spinner = Spinner("dots")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._now, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._step = ""
            self._live.stop()

    def begin(self, step: str, about: str) -> None:
        """Announce a step."""
        self._step, self._since, self._doing = step, time.monotonic(), about
        if self._live is None:
            self._console.print(f"[bold]{step}[/]: {about} ...", soft_wrap=True)

    def progress(self, doing: str) -> None:
        """Say how far the step is; shown live only, since it is gone a second later."""
        self._doing = doing

    def say(self, words: str) -> None:
        """Print a decision and its reason."""
        self._console.print(Text(f"    {words}"), soft_wrap=True)

    def end(self, record: StepRecord) -> None:
        """Print a step's last line."""
        mark, colour = MARKS[record.outcome]
        extra = " (cached)" if record.cached else f"  {record.seconds:.1f} s"
        retries = f"  after {record.retries} retries" if record.retries else ""
        self._step = ""
        self._console.print(f"[{colour}]{mark}[/] [bold]{record.name}[/]{extra}{retries}", soft_wrap=True)

    def conclude(self, headline: str, reason: str) -> None:
        """Print how the run ended and why; ``headline`` may carry markup."""
        self._console.print(headline, soft_wrap=True)
        self.say(reason)

    def _now(self) -> RenderableType:
        if not self._step:
            return Group()
        line = Table.grid(padding=(0, 1))
        elapsed = f"{time.monotonic() - self._since:5.1f} s"
        line.add_row(self._spinner, Text(self._step, style="bold"), Text(elapsed, style="dim"), Text(self._doing))
        return line
