"""The feature store: definitions, ingestion and validation of raw data, training sets, the online store, the registry.

Importing this package loads definitions only; what needs pandas, DuckDB or a server is in modules of their own.
"""

from slipway.features.definitions import (
    Column,
    DType,
    Entity,
    Feature,
    FeatureSet,
    FillBlank,
    RowView,
    Source,
    features_of,
)

__all__ = ["Column", "DType", "Entity", "Feature", "FeatureSet", "FillBlank", "RowView", "Source", "features_of"]
