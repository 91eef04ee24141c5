"""Training, evaluation, gates, conversion and the registry of models.

Nothing is imported here on purpose: the serving image loads :mod:`slipway.models.bundle` and
:mod:`slipway.models.runtime` alone, with numpy, msgspec and ONNX Runtime.
"""
