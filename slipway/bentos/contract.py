"""The contract of a request: what a body may hold, derived from the layout that the model was trained with.

Pure: bytes in, rows or a problem out. A row ends as packed bytes in the form in which the online store keeps
features, so that given values and stored ones take the same way into the model.
"""

import math
import re
from typing import Annotated, Any, Literal, assert_never

import msgspec

from slipway.bentos.policy import Policy
from slipway.bentos.problem import Refused, refused
from slipway.features.definitions import DType, Value
from slipway.features.errors import FeatureValueError
from slipway.features.layout import FeatureSetLayout
from slipway.features.packing import TypedFeature

MAX_ENTITY_ID = 200
FLOAT32_MAX = 3.4028234663852886e38  # the model's matrix is float32; a larger number would be infinite there
PATH_MARK = " - at `$"
NAMED_FIELD = re.compile(r"(?:unknown|required) field `(.*)`")


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row of a request: a key to look up, values that replace stored ones, or a whole row that was given."""

    key: bytes | None = None
    changes: dict[str, Value] | None = None
    packed: bytes | None = None


class Contract:
    """Parses and checks bodies for one layout under one policy."""

    __slots__ = ("_decoder", "_fields", "_layout", "_words")

    def __init__(self, layout: FeatureSetLayout, policy: Policy) -> None:
        self._layout = layout
        features = layout.typed_features
        # Features may have names that are no Python names: fields are f0, f1, ... and carry theirs in the JSON.
        self._fields = {f"f{number}": feature.name for number, feature in enumerate(features)}
        self._words = {f.name: f.vocabulary for f in features if f.dtype is DType.CATEGORY}
        given = msgspec.defstruct(
            "Features",
            [
                (field, _type_of(feature) | msgspec.UnsetType, msgspec.UNSET)
                for field, feature in zip(self._fields, features, strict=True)
            ],
            rename=self._fields,
            forbid_unknown_fields=True,
            gc=False,
        )
        entity_id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ENTITY_ID)]
        row = msgspec.defstruct(
            "Row",
            [("entity_id", entity_id | None, None), ("features", given | None, None)],
            forbid_unknown_fields=True,
            gc=False,
        )
        rows = Annotated[list[row], msgspec.Meta(min_length=1, max_length=policy.max_rows)]  # type: ignore[valid-type]
        request = msgspec.defstruct("Request", [("rows", rows)], forbid_unknown_fields=True, gc=False)
        self._decoder = msgspec.json.Decoder(request)

    def parse(self, body: bytes, *, now_ms: int) -> list[Row]:
        """Return the rows of a body; ``now_ms`` is the event time of values that were given.

        Raises:
            Refused: 400 for bytes that are no JSON, 422 with the field's path for everything else.
        """
        try:
            request: Any = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            message = str(error)
            raise _invalid(message, allowed=self._allowed(message)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refused(400, "malformed", "Malformed body", f"the body is not JSON: {error}") from None
        return [self._row(row, number, now_ms) for number, row in enumerate(request.rows)]

    def _allowed(self, message: str) -> str:
        """Return the words that a category takes, where a word of it was refused."""
        name = message.partition(".features.")[2].rstrip("`")
        words = self._words.get(name) if message.startswith("Invalid enum value") else None
        return f"; allowed are {', '.join(words)}" if words else ""

    def _row(self, row: Any, number: int, now_ms: int) -> Row:
        if row.features is None:
            if row.entity_id is None:
                raise _invalid(f"Give `entity_id`, `features` or both{PATH_MARK}.rows[{number}]`")
            return Row(self._layout.redis_key(row.entity_id))
        given: dict[str, Value] = {}
        for field, name in self._fields.items():
            value = getattr(row.features, field)
            if value is not msgspec.UNSET:
                given[name] = value
        if len(given) == len(self._fields):
            try:
                return Row(None, None, self._layout.rows([given], event_ms=now_ms).tobytes())
            except FeatureValueError as error:
                raise _invalid(f"{error}{PATH_MARK}.rows[{number}].features`") from None
        if row.entity_id is None:
            absent = [name for name in self._fields.values() if name not in given]
            words = f"Without `entity_id` every feature must be given, missing are {', '.join(absent)}"
            raise _invalid(f"{words}{PATH_MARK}.rows[{number}].features`")
        return Row(self._layout.redis_key(row.entity_id), given)


def defaults_of(layout: FeatureSetLayout) -> tuple[dict[str, Value], list[str]]:
    """Return the row that stands in for an entity without features, and the features that have no default but need one.

    A feature that may be null needs none.
    """
    values = {feature.name: feature.default for feature in layout.typed_features}
    lacking = [f.name for f in layout.typed_features if f.default is None and not f.nullable]
    return values, lacking


def _type_of(feature: TypedFeature) -> Any:
    match feature.dtype:
        case DType.CATEGORY:
            kind: Any = Literal[feature.vocabulary]
        case DType.BOOL:
            # Raw data writes flags as 0 and 1, programs as false and true: both mean the same.
            kind = bool | Literal[0, 1]
        case DType.INT64:
            least, most = _bounds(feature, limit=2**63 - 1)
            kind = Annotated[int, msgspec.Meta(ge=math.ceil(least), le=math.floor(most))]
        case DType.FLOAT64:
            least, most = _bounds(feature, limit=FLOAT32_MAX)
            kind = Annotated[float, msgspec.Meta(ge=least, le=most)]
        case _:
            assert_never(feature.dtype)
    return kind | None if feature.nullable else kind


def _bounds(feature: TypedFeature, *, limit: float) -> tuple[float, float]:
    return (
        -limit if feature.at_least is None else feature.at_least,
        limit if feature.at_most is None else feature.at_most,
    )


def _invalid(message: str, *, allowed: str = "") -> Refused:
    """Return a problem whose ``field`` is the path that msgspec wrote at the end of its message."""
    detail, _, path = message.partition(PATH_MARK)
    path = path.rstrip("`").lstrip(".")
    if named := NAMED_FIELD.search(detail):
        path = f"{path}.{named[1]}".lstrip(".")
    return refused(422, "invalid-request", "Invalid request", f"{detail}{allowed}", field=path)
