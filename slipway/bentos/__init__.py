"""Services: the application that answers requests, its contract, and the Bento that carries it.

What a team's ``bentos/<service>/service.py`` needs is named here; everything else is imported from its module.
"""

from typing import Any

__all__ = ["Application", "bento_service"]


def __getattr__(name: str) -> Any:
    """Import on first use: reading a release file must not import BentoML."""
    if name == "Application":
        from slipway.bentos.application import Application  # noqa: PLC0415

        return Application
    if name == "bento_service":
        from slipway.bentos.bento import bento_service  # noqa: PLC0415

        return bento_service
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
