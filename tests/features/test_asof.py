import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.features.asof import asof_join

times = st.integers(0, 8)
entities = st.sampled_from(["a", "b", "c"])


@pytest.fixture(scope="module")
def joined():
    """Run the query over (entity, time, tie break, value) and (entity, time); returns a value per label, in order."""
    query = asof_join(events="event", labels="label", row_number="nr", tie_break="tie", columns=["amount"])
    with duckdb.connect() as database:
        database.execute("CREATE TABLE event (entity_key VARCHAR, event_time BIGINT, tie BIGINT, amount BIGINT)")
        database.execute("CREATE TABLE label (nr BIGINT, entity_key VARCHAR, event_time BIGINT)")

        def _joined(events, labels):
            database.execute("DELETE FROM event")
            database.execute("DELETE FROM label")
            columns = [list(column) for column in zip(*events, strict=True)] or [[], [], [], []]
            database.execute("INSERT INTO event SELECT unnest(?), unnest(?), unnest(?), unnest(?)", columns)
            entities, times = (list(column) for column in zip(*labels, strict=True))
            numbers = list(range(len(labels)))
            database.execute("INSERT INTO label SELECT unnest(?), unnest(?), unnest(?)", [numbers, entities, times])
            return database.sql(query).fetchall()

        yield _joined


def by_hand(events, labels):
    for number, (entity, time) in enumerate(labels):
        known = [(at, tie, amount) for key, at, tie, amount in events if key == entity and at <= time]
        yield number, max(known)[2] if known else None


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(st.tuples(entities, times), max_size=12),
    labels=st.lists(st.tuples(entities, times), min_size=1, max_size=12),
)
def test_each_label_gets_the_latest_row_known_at_its_time(joined, events, labels):
    numbered = [(entity, at, tie, 100 + tie) for tie, (entity, at) in enumerate(events)]
    assert joined(numbered, labels) == list(by_hand(numbered, labels))


@pytest.mark.parametrize(("at", "amount"), [(9, None), (10, 1), (11, 1), (20, 2)])
def test_value_is_used_from_its_own_time_on(joined, at, amount):
    assert joined([("a", 10, 0, 1), ("a", 20, 0, 2)], [("a", at)]) == [(0, amount)]


def test_rows_are_as_many_as_labels_when_labels_and_events_repeat(joined):
    events = [("a", 1, tie, tie) for tie in range(5)]
    assert joined(events, [("a", 1)] * 4 + [("b", 1)]) == [(0, 4), (1, 4), (2, 4), (3, 4), (4, None)]
