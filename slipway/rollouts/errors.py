"""What can go wrong in a rollout, apart from the candidate itself being bad (that is an outcome, not an error)."""

from slipway.errors import SlipwayError, UsageError


class RolloutsError(SlipwayError):
    """Root of this package's errors."""


class InvalidPlan(RolloutsError, UsageError):
    """The table ``[rollout]`` of a ``bento.toml`` can't be followed; the text names the key and what is allowed."""

    exit_code = UsageError.exit_code


class EdgeUnavailable(RolloutsError, ConnectionError):
    """The edge's files or its weight stream can't be used."""


class RolloutNotFound(RolloutsError, LookupError):
    """No rollout or service of that name is known to the controller."""

    exit_code = UsageError.exit_code


class NothingToRollOut(RolloutsError, ValueError):
    """What is asked for makes no sense for the service as it is: same release, no stable one, no previous one."""

    exit_code = UsageError.exit_code


class InvalidRequest(RolloutsError, UsageError):
    """A request to the controller that it can't read; the text names the key."""

    exit_code = UsageError.exit_code


class ControllerUnreachable(RolloutsError, ConnectionError):
    """The controller does not answer."""


class ControllerRefused(RolloutsError, PermissionError):
    """The controller does not know the token that was shown."""
