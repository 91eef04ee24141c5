"""Errors of the report."""

from slipway.pipeline.errors import PipelineError


class MaterialUnreadable(PipelineError, ValueError):
    """A file that a step left for the report is missing, is broken or has another shape; the text names it."""

    def __init__(self, words: str, *, missing: bool = False) -> None:
        super().__init__(words)
        self.missing = missing
