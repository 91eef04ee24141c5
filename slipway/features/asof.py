"""The point-in-time join as SQL text: for each label the latest row of its entity that was known at its time.

One text for every engine, without an as-of join of its own: event keys and label times are put in one column, a
running maximum carries the time of the latest event to each label, and an equi-join brings that event's row. Labels
carry a row number, so n labels give n rows, whatever ties and duplicates there are; it does not blow up on hot keys.
"""

from collections.abc import Sequence

from slipway.features.definitions import ENTITY_KEY, EVENT_TIME


def asof_join(*, events: str, labels: str, row_number: str, tie_break: str, columns: Sequence[str]) -> str:
    """Return the query for two relations that both have ``entity_key`` and ``event_time``.

    ``labels`` has a unique ``row_number`` besides, which orders the result and is its first column; of events of one
    entity with equal times the one with the largest ``tie_break`` counts. A label without an earlier event gets nulls.
    """
    chosen = ", ".join(f"event.{quoted(name)}" for name in columns)
    return f"""
WITH event AS (
  SELECT * FROM (
    SELECT *, row_number() OVER (PARTITION BY {ENTITY_KEY}, {EVENT_TIME} ORDER BY {quoted(tie_break)} DESC) AS nth
    FROM {events}
  ) AS ranked WHERE nth = 1
),
moment AS (
  SELECT {ENTITY_KEY}, {EVENT_TIME} AS at_time, {EVENT_TIME} AS known_time, NULL AS label_row FROM event
  UNION ALL
  SELECT {ENTITY_KEY}, {EVENT_TIME} AS at_time, NULL AS known_time, {quoted(row_number)} AS label_row FROM {labels}
),
latest AS (
  SELECT label_row, {ENTITY_KEY}, max(known_time) OVER (PARTITION BY {ENTITY_KEY} ORDER BY at_time) AS known_time
  FROM moment
)
SELECT latest.label_row, {chosen}
FROM latest
LEFT JOIN event ON event.{ENTITY_KEY} = latest.{ENTITY_KEY} AND event.{EVENT_TIME} = latest.known_time
WHERE latest.label_row IS NOT NULL
ORDER BY latest.label_row
"""  # noqa: S608  the names are declared ones, checked or quoted


def quoted(name: str) -> str:
    """Return a column's name as SQL writes it.

    >>> quoted("PaymentMethod")
    '"PaymentMethod"'
    """
    return '"' + name.replace('"', '""') + '"'
