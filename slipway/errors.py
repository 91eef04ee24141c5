"""What every error of Slipway has in common: one message for the user and the exit code that belongs to it."""

from typing import ClassVar


class SlipwayError(Exception):
    """Root of all errors that a user can act on; its text says what was seen, what is allowed and what to do next."""

    exit_code: ClassVar[int] = 1


class UsageError(SlipwayError, ValueError):
    """The call itself is wrong: a bad option, a missing file, a configuration that can't be read."""

    exit_code = 2


class GateRefused(SlipwayError):
    """A gate looked at evidence and said no: rejected or rolled back."""

    exit_code = 3


class NotEnoughEvidence(SlipwayError):
    """Neither good nor bad could be shown: held."""

    exit_code = 4
