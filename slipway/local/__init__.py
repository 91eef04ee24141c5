"""The local stack: real servers as detached processes, kept by supervisord.

Light to import: the values are here; what starts processes is in :mod:`slipway.local.stack` and
:mod:`slipway.local.processes`.
"""

from slipway.local.program import Program, ProgramState, ProgramStatus, Ready

__all__ = ["Program", "ProgramState", "ProgramStatus", "Ready"]
