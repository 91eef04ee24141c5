"""Packed rows: the bytes of one entity's features in the online store, and numpy arrays of the same bytes.

A row is a 16-byte header, a bitmap of nulls and fixed-width columns, little endian::

    0   int64   event time, milliseconds since 1970 (UTC)
    8   uint64  layout id (48 bits) | format (8 bits) | flags (8 bits; bit 0: some value is null)
    16  nulls   one bit per feature, padded to 8 bytes
        float64 columns, int64 columns, two-byte codes, one-byte codes (flags are codes 0 and 1), padding to 8 bytes

Training packs whole columns and serving packs or reads single rows, but both end with arrays of one numpy type.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeGuard, assert_never

import numpy as np
import numpy.typing as npt

from slipway.features.definitions import DType, Value
from slipway.features.errors import FeatureValueError

Rows: TypeAlias = npt.NDArray[np.void]
"""Packed rows as a structured array."""

FORMAT = 1
HEADER = struct.Struct("<qQ")
SOME_NULL = 1
_FLAGS = 0xFF
_WIDE_VOCABULARY = 256
_FLOAT32_MAX = float(np.finfo(np.float32).max)  # the model's matrix is float32
_INT64_END = 2**63


class Status(StrEnum):
    """What a read of one entity's packed value found."""

    OK = "ok"
    STALE = "stale"
    MISSING = "missing"
    LAYOUT_MISMATCH = "layout_mismatch"


class Block(StrEnum):
    """The groups of columns of equal width."""

    FLOATS = "floats"
    INTS = "ints"
    WIDE = "wide"
    CODES = "codes"


_NUMPY = {Block.FLOATS: "<f8", Block.INTS: "<i8", Block.WIDE: "<u2", Block.CODES: "u1"}
_STRUCT = {Block.FLOATS: "d", Block.INTS: "q", Block.WIDE: "H", Block.CODES: "B"}
_WIDTH = {Block.FLOATS: 8, Block.INTS: 8, Block.WIDE: 2, Block.CODES: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedFeature:
    """What packing and serving need to know of a feature."""

    name: str
    dtype: DType
    vocabulary: tuple[str, ...] = ()
    nullable: bool = False
    at_least: float | None = None
    at_most: float | None = None
    default: Value = None

    @property
    def block(self) -> Block:
        if self.dtype is DType.FLOAT64:
            return Block.FLOATS
        if self.dtype is DType.INT64:
            return Block.INTS
        return Block.WIDE if len(self.vocabulary) > _WIDE_VOCABULARY else Block.CODES

    def store(self, value: Value) -> float | int | None:
        """Return what is packed for a value, or refuse it; ``None`` stays ``None``.

        >>> TypedFeature(name="gender", dtype=DType.CATEGORY, vocabulary=("Female", "Male")).store("Male")
        1
        """
        if value is None:
            return None
        match self.dtype:
            case DType.CATEGORY:
                if isinstance(value, str) and value in self.vocabulary:
                    return self.vocabulary.index(value)
            case DType.BOOL:
                if isinstance(value, int) and value in (0, 1):
                    return int(value)
            case DType.FLOAT64:
                if _is_number(value) and abs(value) <= _FLOAT32_MAX:
                    return float(value)
            case DType.INT64:
                if _is_number(value) and -_INT64_END <= value < _INT64_END and value == int(value):
                    return int(value)
            case _:
                assert_never(self.dtype)
        raise FeatureValueError(f"feature {self.name!r}: {value!r} is not {self.allowed}")

    @property
    def allowed(self) -> str:
        """What a value may be, in words."""
        match self.dtype:
            case DType.CATEGORY:
                return f"one of {list(self.vocabulary)}"
            case DType.BOOL:
                return "true or false"
            case DType.FLOAT64:
                return "a finite number"
            case DType.INT64:
                return "a whole number of 64 bits"
            case _:
                assert_never(self.dtype)

    def load(self, stored: float) -> Value:
        """Return the value for what is packed; the inverse of :meth:`store`."""
        if self.dtype is DType.CATEGORY:
            return self.vocabulary[int(stored)]
        if self.dtype is DType.BOOL:
            return bool(stored)
        return float(stored) if self.dtype is DType.FLOAT64 else int(stored)

    def column(self, values: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Return what is packed for a whole column, and where it is null.

        Takes numbers, flags, words, or codes of words; ``None``, NaN, a masked entry and code -1 are null.
        """
        mask: npt.NDArray[np.bool_] | None = None
        if isinstance(values, np.ma.MaskedArray):
            mask = np.ma.getmaskarray(values)
            values = values.filled(None if values.dtype.kind == "O" else 0)
        array = np.asarray(values)
        if array.dtype.kind in "OUST":
            stored, null = self._words_or_objects(array)
        elif self.dtype is DType.CATEGORY:
            stored, null = self._codes(array)
        else:
            stored, null = self._numbers(array)
        return stored, null if mask is None else null | mask

    def _codes(self, array: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        if array.size and (array.dtype.kind not in "iu" or int(array.max()) >= len(self.vocabulary)):
            seen = array.max() if array.dtype.kind in "iu" else array.flat[0]
            allowed = f"{self.allowed}, nor a code from 0 to {len(self.vocabulary) - 1}"
            raise FeatureValueError(f"feature {self.name!r}: {seen} is not {allowed}")
        null = array < 0
        return np.where(null, 0, array), null

    def _numbers(self, array: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        is_float = array.dtype.kind == "f"
        null = np.isnan(array) if is_float else np.zeros(array.shape, np.bool_)
        stored = np.where(null, 0, array)
        wrong = np.zeros(array.shape, np.bool_)
        if self.dtype is DType.BOOL:
            wrong = (stored != 0) & (stored != 1)
        elif is_float and self.dtype is DType.INT64:
            wrong = (stored != np.trunc(stored)) | (np.abs(stored) >= _INT64_END)
        elif is_float:
            wrong = np.abs(stored) > _FLOAT32_MAX
        if wrong.any():
            raise FeatureValueError(f"feature {self.name!r}: {stored[wrong][0]} is not {self.allowed}")
        return stored, null

    def _words_or_objects(self, array: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        values = [None if value is None or value != value else value for value in array.tolist()]  # noqa: PLR0124  NaN
        null = np.fromiter((value is None for value in values), np.bool_, len(values))
        # Words are looked up in a dictionary, since columns of them are long; whatever is not in it may be refused.
        codes = {word: code for code, word in enumerate(self.vocabulary)} | {None: 0}
        stored = [codes[v] if v is None or (isinstance(v, str) and v in codes) else self.store(v) for v in values]
        return np.array(stored, _NUMPY[self.block]), null


def _is_number(value: Value) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


class RowFormat:
    """Packs and unpacks the rows of one view version."""

    __slots__ = ("_names", "_null_row", "_places", "_struct", "dtype", "features", "size", "tag")

    def __init__(self, features: Sequence[TypedFeature], *, layout_id: int) -> None:
        self.features = tuple(features)
        self.tag = (layout_id << 16) | (FORMAT << 8)
        counts = dict.fromkeys(Block, 0)
        self._places: dict[str, tuple[int, Block, int]] = {}
        for number, feature in enumerate(self.features):
            self._places[feature.name] = (number, feature.block, counts[feature.block])
            counts[feature.block] += 1
        null_bytes = _round_up(math.ceil(len(self.features) / 8))
        body = sum(counts[block] * _WIDTH[block] for block in Block)
        self.size = HEADER.size + null_bytes + _round_up(body)
        fields: list[tuple[Any, ...]] = [("event_ms", "<i8"), ("tag", "<u8"), ("nulls", "u1", (null_bytes,))]
        fields += [(block.value, _NUMPY[block], (counts[block],)) for block in Block]
        self.dtype = np.dtype([*fields, ("padding", "u1", (_round_up(body) - body,))])
        self._struct = struct.Struct(
            f"<qQ{null_bytes}s"
            + "".join(f"{counts[block]}{_STRUCT[block]}" for block in Block)
            + f"{_round_up(body) - body}x"
        )
        self._names = [f.name for block in Block for f in self.features if f.block is block]
        self._null_row = self.pack({f.name: np.full(1, None) for f in self.features}, 0).tobytes()

    def place(self, name: str) -> tuple[int, Block, int]:
        """Return a feature's number, its block and its position there."""
        return self._places[name]

    def pack(self, columns: Mapping[str, npt.ArrayLike], event_ms: npt.ArrayLike) -> Rows:
        """Pack whole columns (see :meth:`TypedFeature.column`); ``event_ms`` is one time or one per row."""
        rows = np.zeros(len(np.asarray(columns[self.features[0].name])), self.dtype)
        is_null = np.zeros((len(rows), rows["nulls"].shape[1] * 8), np.bool_)
        for feature in self.features:
            number, block, position = self._places[feature.name]
            stored, null = feature.column(columns[feature.name])
            stored = np.where(null, np.nan if block is Block.FLOATS else 0, stored)
            rows[block.value][:, position] = stored
            is_null[:, number] = null
        rows["event_ms"] = event_ms
        rows["nulls"] = np.packbits(is_null, axis=1, bitorder="little")
        rows["tag"] = self.tag | is_null.any(axis=1).astype(np.uint64)
        return rows

    def pack_one(self, values: Mapping[str, Value], event_ms: int) -> bytes:
        """Pack one row from values by name; faster than :meth:`pack` for a single row, with the same bytes."""
        nulls = 0
        stored: dict[str, float | int] = {}
        for number, feature in enumerate(self.features):
            packed = feature.store(values[feature.name])
            if packed is None:
                nulls |= 1 << number
                packed = math.nan if feature.dtype is DType.FLOAT64 else 0
            stored[feature.name] = packed
        null_bytes = self.dtype["nulls"].shape[0]
        bitmap = nulls.to_bytes(null_bytes, "little")
        return self._struct.pack(event_ms, self.tag | bool(nulls), bitmap, *[stored[name] for name in self._names])

    def unpack(self, values: Sequence[bytes | None], *, now_ms: int, ttl_ms: int | None) -> tuple[Rows, list[Status]]:
        """Return the rows of packed values with a status each; a row that is missing or of another layout is all null.

        The rows share memory with ``values`` where they can and are read-only.
        """
        size, tag = self.size, self.tag
        statuses = []
        usable = []
        for value in values:
            status = Status.OK
            if value is None:
                status = Status.MISSING
            elif len(value) != size:
                status = Status.LAYOUT_MISMATCH
            else:
                event_ms, seen = HEADER.unpack_from(value)
                if seen & ~_FLAGS != tag:
                    status = Status.LAYOUT_MISMATCH
                elif ttl_ms is not None and event_ms + ttl_ms < now_ms:
                    status = Status.STALE
            statuses.append(status)
            usable.append(value if status is Status.OK or status is Status.STALE else self._null_row)
        buffer = usable[0] if len(usable) == 1 else b"".join(usable)  # type: ignore[arg-type]
        return np.frombuffer(buffer, self.dtype), statuses  # type: ignore[arg-type]

    def values(self, rows: Rows) -> list[dict[str, Value]]:
        """Return rows as values by name."""
        nulls = self.is_null(rows)
        result: list[dict[str, Value]] = [{} for _ in range(len(rows))]
        for feature in self.features:
            number, block, position = self._places[feature.name]
            column = rows[block.value][:, position].tolist()
            for row, stored, null in zip(result, column, nulls[:, number].tolist(), strict=True):
                row[feature.name] = None if null else feature.load(stored)
        return result

    def is_null(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Return where rows are null, by row and number of the feature."""
        bits = np.unpackbits(rows["nulls"], axis=1, count=len(self.features), bitorder="little")
        return bits.astype(np.bool_)


def _round_up(length: int) -> int:
    return -(-length // 8) * 8
