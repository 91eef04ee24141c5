from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from slipway.features import Column, DType, Entity, Feature, FeatureSet, FillBlank, RowView, Source, features_of
from slipway.features.errors import DefinitionError, UnknownDefinitionError

AT = datetime(2026, 1, 1, tzinfo=UTC)
AGE = Column(name="age", dtype=DType.INT64, at_least=0)
PLAN = Column.category("plan", {"free": 0.7, "paid": 0.3})
USERS = Source(name="users", key="id", snapshot_time=AT, columns=(AGE, PLAN))
USER = Entity(name="user")
PROFILE = RowView(name="profile", entity=USER, source=USERS, features=features_of(USERS, ["age", "plan"]))


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ({"name": "event_time", "dtype": DType.INT64}, "'event_time'.*none of"),
        ({"name": "1st", "dtype": DType.INT64}, "begins with a letter"),
        ({"name": "plan", "dtype": DType.CATEGORY}, "2 to 65535 different words"),
        ({"name": "plan", "dtype": DType.CATEGORY, "vocabulary": ("a", "a")}, "different words"),
        ({"name": "age", "dtype": DType.INT64, "vocabulary": ("a", "b")}, "only a category has a vocabulary"),
        ({"name": "ok", "dtype": DType.BOOL, "at_least": 0}, "are for numbers, this is bool"),
        ({"name": "age", "dtype": DType.INT64, "at_least": 2, "at_most": 1}, "at_least=2 is above at_most=1"),
        ({"name": "age", "dtype": DType.INT64, "mean": 2}, "mean with a positive sd"),
        ({"name": "age", "dtype": DType.INT64, "mean": 2, "sd": 0}, "mean with a positive sd"),
        ({"name": "ok", "dtype": DType.BOOL, "shares": {"Yes": 0.5}}, r"shares are of \['Yes'\], allowed are \['0'"),
    ],
)
def test_column_is_refused_when_it_contradicts_itself(column, told):
    with pytest.raises(DefinitionError, match=told):
        Column(**column)


def test_source_is_refused_when_a_column_is_declared_twice():
    with pytest.raises(DefinitionError, match=r"source 'users': \['age'\] are declared more than once"):
        replace(USERS, columns=(AGE, AGE))


def test_source_is_refused_when_its_time_has_no_zone():
    with pytest.raises(DefinitionError, match="no time zone"):
        replace(USERS, snapshot_time=datetime(2026, 1, 1))  # noqa: DTZ001  what is refused


def test_source_is_refused_when_a_repair_names_no_column_of_it():
    repair = FillBlank(column="age", value=0, where={"tenure": 0}, note="")
    with pytest.raises(UnknownDefinitionError, match=r"'users' has no column 'tenure'; it has \['age', 'plan'\]"):
        replace(USERS, repairs=(repair,))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Entity(name="User"),
        lambda: replace(USERS, name="my users"),
        lambda: replace(PROFILE, name="profile.1"),
        lambda: FeatureSet(name="", view=PROFILE, features=("age",)),
    ],
)
def test_definition_is_refused_when_its_name_would_not_fit_into_a_key(make):
    with pytest.raises(DefinitionError, match="lower case letters"):
        make()


def test_view_is_refused_when_it_has_a_feature_twice():
    with pytest.raises(DefinitionError, match="each name once"):
        replace(PROFILE, features=features_of(USERS, ["age", "age"]))


def test_view_is_refused_when_its_ttl_is_not_positive():
    with pytest.raises(DefinitionError, match="is not positive"):
        replace(PROFILE, ttl=timedelta(0))


def test_view_is_refused_when_a_feature_reads_another_column_of_that_name():
    other = Feature(name="age", column=replace(AGE, dtype=DType.FLOAT64))
    with pytest.raises(DefinitionError, match="feature 'age' reads a column unlike that of source 'users'"):
        replace(PROFILE, features=(other,))


def test_feature_is_refused_when_its_name_is_taken():
    with pytest.raises(DefinitionError, match=r"feature 'label': a name .* none of"):
        Feature(name="label", column=AGE)


def test_feature_set_is_refused_when_the_view_lacks_a_feature():
    with pytest.raises(UnknownDefinitionError, match=r"no feature 'tenure'; it has \['age', 'plan'\]"):
        FeatureSet(name="churn", view=PROFILE, features=("age", "tenure"))


def test_version_stays_when_only_words_for_people_change():
    told = replace(PROFILE, owner="me", description="who they are", ttl=timedelta(days=1))
    looser = replace(AGE, at_least=None, description="years")
    source = replace(USERS, columns=(looser, PLAN), owner="you")
    assert told.version == PROFILE.version
    assert replace(PROFILE, source=source, features=features_of(source, ["age", "plan"])).version == PROFILE.version


def test_version_changes_when_a_value_means_something_else():
    floats = replace(USERS, columns=(replace(AGE, dtype=DType.FLOAT64), PLAN))
    words = replace(USERS, columns=(AGE, Column.category("plan", {"paid": 0.3, "free": 0.7})))
    repaired = replace(USERS, repairs=(FillBlank(column="age", value=0, where={"plan": "free"}, note=""),))
    versions = {replace(PROFILE, source=s, features=features_of(s, ["age", "plan"])).version for s in (floats, words)}
    versions |= {replace(PROFILE, source=repaired).version}
    versions |= {replace(PROFILE, features=features_of(USERS, ["plan", "age"])).version}
    assert len(versions | {PROFILE.version}) == 5


def test_version_stays_when_a_repair_is_of_a_column_that_the_view_does_not_read():
    repaired = replace(USERS, repairs=(FillBlank(column="age", value=0, where={"plan": "free"}, note=""),))
    plans = replace(PROFILE, features=features_of(USERS, ["plan"]))
    assert replace(plans, source=repaired).version == plans.version
