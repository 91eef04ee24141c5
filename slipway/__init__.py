"""Slipway: from `git push` to all of production traffic, with proof at every gate."""

__version__ = "0.1.0"
