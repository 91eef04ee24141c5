"""Errors of models: what was seen, what is allowed, what to do next."""

from slipway.errors import GateRefused, SlipwayError, UsageError


class ModelsError(SlipwayError):
    """Root of this package's errors."""


class BundleAltered(ModelsError, ValueError):
    """A bundle's files don't belong together: a digest differs, or a file is missing or can't be read."""


class InvalidModelConfig(ModelsError, UsageError):
    """A ``model.toml`` or ``train.py`` that can't be used as it is written."""

    exit_code = 2


class TrainingRefused(ModelsError, GateRefused):
    """The training set doesn't allow an honest model: too few rows, one class only, a broken column."""

    exit_code = 3


class TrainingFailed(ModelsError, RuntimeError):
    """A family couldn't be fitted."""


class ConversionRefused(ModelsError, GateRefused):
    """An estimator couldn't be converted to ONNX, so it can't be served."""

    exit_code = 3


class ModelNotFound(ModelsError, LookupError):
    """No such model, version or alias in the registry."""


class RegistryUnavailable(ModelsError, ConnectionError):
    """MLflow doesn't answer, or answers with an error."""
