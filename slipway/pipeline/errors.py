"""Errors of the pipeline."""

from slipway.errors import SlipwayError, UsageError


class PipelineError(SlipwayError):
    """Root of the pipeline's errors."""


class AlreadyShipping(PipelineError, RuntimeError):
    """Another ``ship`` holds this project's lock."""


class StepFailed(PipelineError, RuntimeError):
    """A step ended in an error that no retry mended."""


class UnknownStep(UsageError, LookupError):
    """A step was named that ``ship`` does not have."""


class UnknownRun(UsageError, LookupError):
    """A run was named that is not in ``.slipway/runs``."""
