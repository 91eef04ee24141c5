from pathlib import Path

import pytest

from slipway.features.errors import DataRefused, DataUnreadableError, DefinitionError, UnknownDefinitionError
from slipway.features.examine import Examined, examine, refuse
from slipway.features.synthetic import generate

ROWS = 600


class RawFile:
    """A small raw file to spoil, and what is made of it."""

    def __init__(self, path: Path, definitions) -> None:
        self.path = path
        self.source = definitions.source("telco")
        self.frame = generate(ROWS, seed=5).astype("object")
        self.content: bytes | None = None

    def examine(self, *, max_bad_share: float = 0.05, label: str = "Churn") -> Examined:
        """Examine the file as the frame or the content is now, and refuse it where it must be."""
        self.path.write_bytes(self.text().encode() if self.content is None else self.content)
        examined = examine(self.path, self.source, label=label, max_bad_share=max_bad_share)
        refuse(examined.report, self.path)
        return examined

    def text(self) -> str:
        return self.frame.to_csv(index=False)


def told(examined: Examined) -> list[tuple[int, str, str]]:
    return sorted((bad.row, bad.column, bad.reason) for bad in examined.violations)


def keys(examined: Examined) -> list[str]:
    return examined.rows["customerID"].tolist()


@pytest.fixture
def raw(tmp_path, definitions) -> RawFile:
    return RawFile(tmp_path / "raw.csv", definitions)


# Good files


def test_real_file_is_accepted_whole_with_eleven_repairs(telco_csv, definitions):
    report = examine(telco_csv, definitions.source("telco"), label="Churn", max_bad_share=0.05).report
    refuse(report, telco_csv)
    assert (report.rows, report.accepted, report.quarantined, report.repaired) == (7043, 7043, 0, 11)
    assert [(repair.column, repair.rows) for repair in report.repairs] == [("TotalCharges", 11)]
    assert report.label_counts == {"No": 5174, "Yes": 1869}
    assert all(check.passed for check in report.checks)


def test_profiles_count_every_accepted_row(raw):
    by_column = {profile.column: profile for profile in raw.examine().report.columns}
    assert sum((by_column["Contract"].counts or {}).values()) == ROWS
    assert sum(by_column["tenure"].histogram_counts or ()) == ROWS
    assert set(by_column["SeniorCitizen"].counts or {}) == {"0", "1"}


def test_windows_file_is_read_when_it_has_a_byte_order_mark_and_extra_columns(raw):
    raw.frame.insert(3, "Note, internal", 'say "hi"')
    raw.content = b"\xef\xbb\xbf" + raw.text().replace("\n", "\r\n").encode()
    report = raw.examine().report
    assert report.accepted == ROWS
    assert report.ignored_columns == ("Note, internal",)


def test_blank_lines_are_counted_apart_when_a_file_has_some(raw):
    lines = raw.text().splitlines()
    raw.content = "\n".join([*lines[:5], "", *lines[5:], "", ""]).encode()
    report = raw.examine().report
    assert (report.rows, report.accepted, report.blank_lines) == (ROWS, ROWS, 2)


def test_header_is_found_when_blank_lines_come_before_it(raw):
    raw.frame.loc[0, "gender"] = "?"
    raw.content = b"\n\n" + raw.text().encode()
    assert told(raw.examine()) == [(4, "gender", "is not one of Female, Male")]


def test_spaces_around_values_are_repaired_with_a_note(raw):
    raw.frame.loc[4, "gender"] = " Male "
    raw.frame.loc[9, "customerID"] = "0009-SPACE "
    examined = raw.examine()
    trimmed = {repair.column: repair.rows for repair in examined.report.repairs if "spaces" in repair.note}
    assert trimmed == {"customerID": 1, "gender": 1}
    assert "0009-SPACE" in keys(examined)


def test_blank_is_repaired_only_where_the_repair_says_so(raw):
    raw.frame["TotalCharges"] = raw.frame["TotalCharges"].replace(" ", "0")
    raw.frame.loc[[3, 4], "TotalCharges"] = " "
    raw.frame.loc[3, "tenure"] = 0
    raw.frame.loc[4, "tenure"] = 7
    examined = raw.examine()
    assert [(repair.column, repair.rows) for repair in examined.report.repairs] == [("TotalCharges", 1)]
    assert examined.rows.loc[5, "TotalCharges"] == 0
    assert told(examined) == [(6, "TotalCharges", "is blank")]


# Rows that go to quarantine


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("gender", "male", "is not one of Female, Male"),
        ("Contract", "Weekly", "is not one of Month-to-month, One year, Two year"),
        ("SeniorCitizen", "2", "is not 0 or 1"),
        ("tenure", "a year", "is not a whole number"),
        ("tenure", "3.5", "is not a whole number"),
        ("tenure", "-1", "is below 0"),
        ("MonthlyCharges", "12,50", "is not a number"),
        ("MonthlyCharges", "nan", "is not a number"),
        ("MonthlyCharges", "inf", "is not a number"),
        ("MonthlyCharges", "5000", "is above 1000"),
        ("MonthlyCharges", "", "is blank"),
        ("Churn", "", "is blank"),
        ("Churn", "Maybe", "is not one of No, Yes"),
        ("customerID", "", "is blank, each row needs a key"),
        ("customerID", "two\tparts", "has a line break or another control character"),
        ("customerID", "x" * 129, "is longer than 128 characters"),
    ],
)
def test_row_goes_to_quarantine_when_a_cell_breaks_the_contract(raw, column, value, reason):
    raw.frame.loc[10, column] = value
    examined = raw.examine()
    (bad,) = examined.violations
    assert (bad.row, bad.column, bad.reason) == (12, column, reason)
    assert bad.value == (value if len(value) <= 60 else "x" * 59 + "…")
    report = examined.report
    assert (report.rows, report.accepted, report.quarantined) == (ROWS, ROWS - 1, 1)
    assert [(r.column, r.reason, r.rows, r.example_row) for r in report.reasons] == [(column, reason, 1, 12)]
    assert len(keys(examined)) == ROWS - 1


def test_rows_of_another_width_go_to_quarantine_with_the_right_row_numbers(raw):
    lines = raw.text().splitlines()
    lines[3] = "only,three,fields"
    lines[8] += ",one,more"
    lines[9] = lines[9].replace(",Male,", ",Man,").replace(",Female,", ",Man,")
    raw.content = "\n".join(lines).encode()
    examined = raw.examine()
    assert told(examined) == [
        (4, "", "has 3 fields, the header has 21"),
        (9, "", "has 23 fields, the header has 21"),
        (10, "gender", "is not one of Female, Male"),
    ]
    assert examined.report.accepted == ROWS - 3


def test_one_row_counts_once_when_several_cells_are_bad(raw):
    raw.frame.loc[0, ["gender", "tenure", "Churn"]] = "?"
    examined = raw.examine()
    assert examined.report.quarantined == 1
    assert [column for _, column, _ in told(examined)] == ["Churn", "gender", "tenure"]


def test_equal_duplicates_leave_the_first_row(raw):
    raw.frame.loc[7] = raw.frame.loc[2]
    examined = raw.examine()
    assert told(examined) == [(9, "customerID", "is the key of an equal row above, that one is used")]
    assert keys(examined).count(raw.frame.loc[2, "customerID"]) == 1
    assert examined.report.accepted == ROWS - 1


def test_contradicting_duplicates_leave_no_row(raw):
    raw.frame.loc[7] = raw.frame.loc[2]
    raw.frame.loc[8] = raw.frame.loc[2]
    raw.frame.loc[8, "tenure"] = 1 + int(raw.frame.loc[2, "tenure"])
    examined = raw.examine()
    assert [row for row, _, _ in told(examined)] == [4, 9, 10]
    assert raw.frame.loc[2, "customerID"] not in keys(examined)


def test_key_is_no_duplicate_when_the_other_row_is_broken(raw):
    raw.frame.loc[7] = raw.frame.loc[2]
    raw.frame.loc[7, "gender"] = "?"
    examined = raw.examine()
    assert [row for row, _, _ in told(examined)] == [9]
    assert raw.frame.loc[2, "customerID"] in keys(examined)


# Files that are refused


def test_file_is_a_wrong_call_when_it_does_not_exist(definitions, tmp_path):
    with pytest.raises(
        DataUnreadableError, match=r"nowhere.csv does not exist; give the path of a CSV file"
    ) as refused:
        examine(tmp_path / "nowhere.csv", definitions.source("telco"), label="Churn", max_bad_share=0)
    assert refused.value.exit_code == 2


def test_file_is_a_wrong_call_when_it_is_a_folder(definitions, tmp_path):
    with pytest.raises(DataUnreadableError, match="is a folder") as refused:
        examine(tmp_path, definitions.source("telco"), label="Churn", max_bad_share=0)
    assert refused.value.exit_code == 2


def test_file_is_a_wrong_call_when_it_cant_be_opened(definitions, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataUnreadableError, match="can't be opened: Not a directory"):
        examine(tmp_path / "file" / "raw.csv", definitions.source("telco"), label="Churn", max_bad_share=0)


@pytest.mark.parametrize(
    ("label", "error", "words"),
    [
        ("Left", UnknownDefinitionError, "source 'telco' has no column 'Left'"),
        ("tenure", DefinitionError, "label 'tenure' of source 'telco' is no category or flag"),
    ],
)
def test_label_is_a_wrong_call_when_the_source_has_no_such_classes(raw, label, error, words):
    with pytest.raises(error, match=words):
        raw.examine(label=label)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; a CSV file with a header and rows is needed"),
        (b" \n\n", "is empty"),
        (b"PK\x03\x04xlsx", "is an Excel or zip file, not text; export it as UTF-8 CSV"),
        (b"PAR1....", "is a Parquet file"),
        (b"\x1f\x8b\x08", "is a gzip file"),
        (bytes(range(256)) * 10, "is a binary file"),
        ("kündigung,x\n".encode("latin-1"), "is not UTF-8 text: byte 0xfc in the header"),
        (b"a" * 40, "21 of 21 columns are missing"),
        (b'{"customerID": "1"}', "21 of 21 columns are missing"),
    ],
)
def test_file_is_refused_when_it_is_no_table(raw, content, words):
    raw.content = content
    with pytest.raises(DataRefused, match=words) as refused:
        raw.examine()
    assert refused.value.exit_code == 3


@pytest.mark.parametrize("ending", ["", "\n", "\n\n\n", "\n" + "," * 20 + "\n"])
def test_file_is_refused_when_it_has_a_header_only(raw, ending):
    raw.content = (raw.text().splitlines()[0] + ending).encode()
    with pytest.raises(DataRefused, match="has a header and no rows"):
        raw.examine()


def test_column_is_named_when_it_is_missing(raw):
    raw.frame = raw.frame.drop(columns="Contract")
    with pytest.raises(DataRefused, match=r"1 of 21 columns are missing: 'Contract';"):
        raw.examine()


def test_nearest_name_is_told_when_a_column_was_renamed(raw):
    raw.frame = raw.frame.rename(columns={"MonthlyCharges": "monthly_charge", "customerID": "Customer Id"})
    words = r"'customerID' \(is it 'Customer Id', renamed\?\), 'MonthlyCharges' \(is it 'monthly_charge', renamed\?\)"
    with pytest.raises(DataRefused, match=words):
        raw.examine()


def test_delimiter_is_told_when_it_is_no_comma(raw):
    raw.content = raw.frame.to_csv(index=False, sep=";").encode()
    with pytest.raises(DataRefused, match="fields are separated by ';'; a comma is needed"):
        raw.examine()


def test_header_is_refused_when_it_names_a_column_twice(raw):
    raw.content = raw.text().replace("gender", "Partner", 1).encode()
    with pytest.raises(DataRefused, match=r"the header names \['Partner'\] more than once"):
        raw.examine()


def test_file_is_refused_when_its_text_is_not_utf8(raw):
    lines = raw.text().encode().split(b"\n")
    lines[20] = lines[20].replace(b"-", b"\xff", 1)
    raw.content = b"\n".join(lines)
    with pytest.raises(DataRefused, match=r"can't be read as CSV: .*invalid UTF8.*export the file again as UTF-8"):
        raw.examine()


def test_file_is_refused_when_a_cell_is_larger_than_any_table_needs(raw):
    raw.frame.loc[2, "gender"] = "x" * 40_000_000
    with pytest.raises(DataRefused, match="can't be read as CSV"):
        raw.examine()


def test_file_is_refused_when_an_open_quote_swallows_rows(raw):
    lines = raw.text().splitlines()
    lines[100] = '"' + lines[100]
    raw.content = "\n".join(lines).encode()
    with pytest.raises(DataRefused, match=r"501 of 600 rows.*spans 501 lines: is a quote never closed\?"):
        raw.examine()


def test_file_is_refused_when_forty_percent_of_its_rows_are_broken(raw):
    raw.frame["TotalCharges"] = "100"
    raw.frame.loc[: int(ROWS * 0.4) - 1, "tenure"] = "unknown"
    raw.frame.loc[ROWS - 1, "gender"] = "?"
    words = (
        r"241 of 600 rows \(40.2%\) break the contract of source 'telco', allowed are 5.0%: "
        r"tenure is not a whole number in 240 rows \(first: 'unknown' in row 2\); gender is not one of .* in 1 row "
    )
    with pytest.raises(DataRefused, match=words) as refused:
        raw.examine()
    assert refused.value.exit_code == 3


def test_reasons_are_summed_up_when_there_are_many(raw):
    for number, column in enumerate(("gender", "tenure", "Churn", "Contract", "Partner")):
        raw.frame.loc[number::100, column] = "?"
    with pytest.raises(DataRefused, match="and 2 more reasons; correct the file"):
        raw.examine(max_bad_share=0.01)


def test_share_decides_when_it_is_just_reached(raw):
    raw.frame.loc[:29, "gender"] = "?"
    assert raw.examine(max_bad_share=0.05).report.bad_share == 0.05
    raw.frame.loc[30, "gender"] = "?"
    with pytest.raises(DataRefused, match=r"31 of 600 rows \(5.2%\)"):
        raw.examine(max_bad_share=0.05)


def test_file_is_refused_when_every_row_is_broken_even_if_that_were_allowed(raw):
    raw.frame["Churn"] = "?"
    with pytest.raises(DataRefused, match="one class only, 'none' in 0 rows"):
        raw.examine(max_bad_share=1)


def test_file_is_refused_when_its_label_has_one_class(raw):
    raw.frame["Churn"] = "No"
    with pytest.raises(DataRefused, match="label 'Churn' has one class only, 'No' in 600 rows"):
        raw.examine()


def test_file_is_refused_when_a_class_is_too_small_to_judge_a_model(raw):
    raw.frame["Churn"] = ["Yes"] * 32 + ["No"] * (ROWS - 32)
    assert raw.examine().report.label_counts == {"No": ROWS - 32, "Yes": 32}
    raw.frame.loc[0, "Churn"] = "No"
    with pytest.raises(DataRefused, match="label 'Churn' is 'Yes' in 31 rows only, at least 32 are needed"):
        raw.examine()


def test_file_is_refused_when_its_distributions_are_far_from_the_reference(raw):
    raw.frame["Contract"] = "Two year"
    raw.frame["tenure"] = 300
    words = (
        "does not look like source 'telco': mean of tenure is 300, allowed .* to .*; "
        "share of 'Month-to-month' of Contract is 0, allowed 0.2.* to 0.8"
    )
    with pytest.raises(DataRefused, match=words):
        raw.examine()


def test_file_is_refused_when_charges_are_in_another_unit_but_in_range(raw):
    raw.frame["MonthlyCharges"] = raw.frame["MonthlyCharges"] * 8
    with pytest.raises(DataRefused, match="mean of MonthlyCharges is"):
        raw.examine()


def test_small_honest_file_is_accepted_when_it_has_its_share_of_noise(raw):
    for seed in range(10):
        raw.frame = generate(200, seed=seed)
        assert raw.examine().report.accepted == 200
