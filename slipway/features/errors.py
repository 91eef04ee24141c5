"""Errors of the feature store."""

from slipway.errors import GateRefused, SlipwayError, UsageError


class FeaturesError(SlipwayError):
    """Root of this package's errors."""


class DefinitionError(FeaturesError, UsageError):
    """A definition contradicts itself, or a team's file with definitions can't be loaded."""


class UnknownDefinitionError(FeaturesError, UsageError, LookupError):
    """No definition of that name."""


class FeatureValueError(FeaturesError, ValueError):
    """A value is not one that its feature can take."""


class LayoutError(FeaturesError, ValueError):
    """A layout that can't be read: broken, tampered with, or written by a newer version."""


class DataUnreadableError(FeaturesError, UsageError):
    """There is no file of data to read: missing, a folder, no permission."""


class DataRefused(FeaturesError, GateRefused, ValueError):
    """The data was read and breaks its contract by more than is allowed."""


class DataVersionError(FeaturesError, RuntimeError):
    """The data could not be put under version control."""


class OfflineError(FeaturesError, RuntimeError):
    """The offline engine could not read its input or write its result."""


class OnlineStoreError(FeaturesError, ConnectionError):
    """The online store did not answer."""


class RegistryError(FeaturesError, ConnectionError):
    """The feature registry did not answer."""
