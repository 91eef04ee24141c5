"""What can go wrong while a service is packaged, started and checked."""

from slipway.errors import GateRefused, SlipwayError


class BentosError(SlipwayError):
    """Root of this package's errors."""


class ServiceUnreadable(BentosError, ValueError):
    """A service's folder, its ``bento.toml`` or a bundle can't be used; the text names the file and the key."""

    exit_code = 2


class ReleaseUnreadable(BentosError, ValueError):
    """A release, from a file or over HTTP, does not have the fields of a release."""


class BuildFailed(BentosError, RuntimeError):
    """``bentoml build`` ended with an error; the text holds its last lines."""


class GoldenUnreachable(BentosError, ConnectionError):
    """The golden rows could not be asked for: nothing was learned about the model."""


class GoldenMismatch(BentosError, GateRefused):
    """The service answers golden rows with other scores than those the model was registered with."""

    exit_code = GateRefused.exit_code
