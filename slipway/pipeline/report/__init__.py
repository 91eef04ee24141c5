"""The report of one run: everything it saw and decided, in one self-contained HTML file."""

from pathlib import Path

from slipway.pipeline.run import Run
from slipway.project import Project

FILE = "report.html"


def write(project: Project, run: Run) -> Path:
    """Write ``runs/<id>/report.html`` from the run's record and the files its steps left, and return its path."""
    from slipway.pipeline.report.collect import collect  # noqa: PLC0415  importing the package must stay cheap
    from slipway.pipeline.report.render import page  # noqa: PLC0415  likewise
    from slipway.pipeline.runs import folder_of  # noqa: PLC0415  likewise

    folder = folder_of(project.home, run.id)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{FILE}"
    partial.write_text(page(collect(project, run)), encoding="utf-8")
    return partial.replace(folder / FILE)
