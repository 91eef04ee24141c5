"""Copies a view's values from clean data to the online store."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from slipway.features.definitions import ENTITY_KEY, EVENT_TIME, RowView
from slipway.features.layout import FeatureSetLayout
from slipway.features.ports import Online, Written

_BATCH = 20_000


def materialize(
    clean: Path,
    view: RowView,
    layout: FeatureSetLayout,
    online: Online,
    *,
    now_ms: int,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Written:
    """Write the latest row of each entity; ``on_rows`` hears how many rows are through.

    Running it again changes nothing, so a run that was broken off is simply run again.
    """
    written = Written()
    done = 0
    with pyarrow.parquet.ParquetFile(clean) as file:
        columns = [ENTITY_KEY, EVENT_TIME, *dict.fromkeys(feature.column.name for feature in view.features)]
        for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
            values = {f.name: batch.column(f.column.name).to_numpy(zero_copy_only=False) for f in view.features}
            event_ms = batch.column(EVENT_TIME).cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64())
            rows = layout.pack(values, event_ms=event_ms.to_numpy())
            written += online.write(layout, batch.column(ENTITY_KEY).to_pylist(), rows, now_ms=now_ms)
            done += len(rows)
            on_rows(done)
    return written
