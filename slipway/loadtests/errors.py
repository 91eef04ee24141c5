"""What can go wrong while load is made: each is an error, never a passed test."""

from slipway.errors import SlipwayError


class LoadtestsError(SlipwayError):
    """Root of this package's errors."""


class LoadProfileUnreadable(LoadtestsError, ValueError):
    """The table ``[load]``, the file of ids or the service's Locust file can't be used."""

    exit_code = 2


class TargetUnreachable(LoadtestsError, ConnectionError):
    """Nothing that could be tested answers at the address."""


class LoadRunFailed(LoadtestsError, RuntimeError):
    """Locust itself failed, or has nothing to show: no statement about the service is possible."""


class TrafficFailed(LoadtestsError, RuntimeError):
    """The traffic generator did not start, died, or left no counts."""
