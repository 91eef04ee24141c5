"""The page itself: whole for every outcome, self-contained, safe with any text, true to its inputs."""

import json
import re
from html.parser import HTMLParser

import pytest

from slipway.pipeline import report
from slipway.pipeline.report.collect import collect
from slipway.pipeline.report.values import Absent
from slipway.pipeline.run import Outcome
from tests.pipeline import report_material
from tests.pipeline.report_material import a_run

SECTIONS = ("timeline", "data", "search", "model", "load", "rollout", "decisions", "lineage")
PLOTS_OF = {
    "search": {"search"},
    "model": {"roc", "pr", "calibration", "slices", "difference"},
    "load": {"throughput", "latency"},
    "rollout": {
        "traffic-wide",
        "traffic-narrow",
        "evidence-errors",
        "evidence-p95",
        "evidence-errors_absolute",
        "evidence-p99",
        "evidence-fallback",
        "evidence-latency",
        "evidence-sample_ratio",
    },
}
FIELDS = {"data": "quality", "search": "search", "model": "comparison", "load": "load", "rollout": "rollout"}
VOID = {"meta", "link", "br", "hr", "img", "input"}
ENDINGS = {
    "promoted": (Outcome.PROMOTED, {}, set()),
    "rolled_back": (Outcome.ROLLED_BACK, {"last": "rollout", "sabotage": "errors"}, set()),
    "held": (Outcome.HELD, {"last": "rollout"}, set()),
    "stopped_by_load": (Outcome.REJECTED, {"last": "loadtest"}, {"rollout"}),
    "stopped_at_golden_rows": (Outcome.REJECTED, {"last": "start"}, {"load", "rollout"}),
    "rejected": (Outcome.REJECTED, {"last": "gate"}, {"load", "rollout"}),
    "data_refused": (Outcome.REJECTED, {"last": "ingest"}, {"search", "model", "load", "rollout"}),
    "failed": (Outcome.FAILED, {"last": "train"}, {"model", "load", "rollout"}),
    "unchanged": (Outcome.UNCHANGED, {"last": "gate"}, {"load", "rollout"}),
    "interrupted": (None, {"last": "package"}, {"load", "rollout"}),
}


class Page(HTMLParser):
    """What a test asks of a page; tags that don't match are an error at once."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str]]] = []
        self.ids: list[str] = []
        self.references: set[str] = set()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: dict[str, str] = dict.fromkeys(SECTIONS, "")
        self.absent: set[str] = set()
        self.drawn: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == [], "tags left open"

    def handle_starttag(self, tag, attrs):
        found = {key: value or "" for key, value in attrs}
        self.tags.add(tag)
        self.attributes += [(tag, key, value) for key, value in found.items()]
        if "id" in found:
            self.ids.append(found["id"])
        self.references |= {value[1:] for key, value in found.items() if key == "href" and value.startswith("#")}
        self.references |= set(re.findall(r"url\(#([^)]+)\)", " ".join(found.values())))
        if "absent" in found.get("class", "").split():
            self.absent.add(self.section)
        for _, outer in self.open:
            if outer.get("id", "").startswith("plot-"):
                self.drawn.setdefault(outer["id"].removeprefix("plot-"), []).append(tag)
        if tag not in VOID:
            self.open.append((tag, found))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data):
        if self.section in self.text:
            self.text[self.section] += data

    @property
    def section(self) -> str:
        return next((attrs.get("id", "") for tag, attrs in self.open if tag == "section"), "")


@pytest.fixture(scope="module", params=ENDINGS)
def ending(request, tmp_path_factory):
    outcome, changes, absent = ENDINGS[request.param]
    made = a_run(tmp_path_factory.mktemp(request.param), outcome, **changes)
    return made, report.write(made.project, made.run).read_text(encoding="utf-8"), absent


@pytest.fixture(scope="module")
def promoted(tmp_path_factory):
    made = a_run(tmp_path_factory.mktemp("promoted"))
    return made, report.write(made.project, made.run).read_text(encoding="utf-8")


def test_page_has_every_section_or_says_why_not_whatever_the_outcome(ending):
    _, text, absent = ending
    page = Page(text)
    assert [name for name in page.ids if name in SECTIONS] == list(SECTIONS)
    assert page.absent == absent
    for name in SECTIONS:
        assert len(page.text[name].strip()) > 60, f"section {name} is empty"


def test_page_has_every_plot_of_the_sections_that_it_has_whatever_the_outcome(ending):
    _, text, absent = ending
    wanted = set().union(*(plots for section, plots in PLOTS_OF.items() if section not in absent))
    assert set(Page(text).drawn) == wanted


def test_no_plot_is_empty_whatever_the_outcome(ending):
    _, text, _ = ending
    for name, tags in Page(text).drawn.items():
        assert tags.count("path") + tags.count("use") >= 6, f"plot {name} has hardly a line"
        assert tags.count("text") >= 3, f"plot {name} has no words"


def test_every_plot_says_what_it_shows_to_those_who_cannot_see_it(promoted):
    page = Page(promoted[1])
    labels = [value for tag, key, value in page.attributes if tag == "svg" and key == "aria-label"]
    assert len(labels) == len(page.drawn)
    assert all(len(label) > 40 for label in labels)


def test_page_asks_nobody_for_anything(ending):
    _, text, _ = ending
    page = Page(text)
    assert "://" not in text
    assert page.tags.isdisjoint({"script", "iframe", "object", "embed", "base", "form"})
    sources = {value for _, key, value in page.attributes if key in {"src", "srcset", "data", "action", "xlink:href"}}
    assert sources == set()
    assert "default-src 'none'" in text


def test_links_lead_to_the_page_itself_or_to_a_kept_file(promoted):
    made, text = promoted
    page = Page(text)
    links = {value for tag, key, value in page.attributes if tag == "a" and key == "href" and value[0] != "#"}
    assert links == {"loadtest/locust.html"}
    assert (made.folder / "loadtest" / "locust.html").is_file()


def test_references_within_the_page_are_found_once(ending):
    _, text, _ = ending
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert page.references <= set(page.ids)


def test_colours_come_from_the_style_sheet_alone(promoted):
    _, text = promoted
    drawn = text[text.index("<body>") :]
    assert re.findall(r"(?:fill|stroke): ?#\w+", drawn) == []
    used = set(re.findall(r"var\((--[a-z]+)\)", drawn))
    known = set(re.findall(r"(--[a-z-]+):", text[: text.index("<body>")]))
    assert used <= known


def test_page_is_small_and_has_both_schemes_and_print(promoted):
    _, text = promoted
    assert len(text.encode()) < 400_000
    for query in ("prefers-color-scheme: dark", "@media print", "max-width: 720px"):
        assert query in text


def test_hostile_text_stays_text(tmp_path):
    evil = "<script>alert(1)</script>\"'{{ 7*7 }}"
    made = a_run(tmp_path, Outcome.REJECTED, last="train", reason=evil)
    made.run.steps[0].words.append(evil)
    quality = json.loads((made.folder / "ingest" / "quality.json").read_text())
    quality["columns"][1]["counts"] = {evil: 7041}
    quality["reasons"][0]["example_value"] = evil
    (made.folder / "ingest" / "quality.json").write_text(json.dumps(quality))
    made.run.data = evil
    text = report.write(made.project, made.run).read_text(encoding="utf-8")
    assert "script" not in Page(text).tags
    assert "{{ 7*7 }}" in text
    assert text.count("&lt;script&gt;alert(1)") >= 5


def test_model_name_in_a_plot_is_escaped(tmp_path):
    made = a_run(tmp_path)
    made.run.version, made.run.model = None, "churn"
    events = (made.folder / "rollout" / "events.json").read_text().replace('"model": "churn"', '"model": "<b>a&b</b>"')
    (made.folder / "rollout" / "events.json").write_text(events)
    text = report.write(made.project, made.run).read_text(encoding="utf-8")
    assert "<b>a&b</b>" not in text
    assert "&lt;b&gt;a&amp;b&lt;/b&gt; 2" in text


def test_numbers_are_those_of_the_inputs(promoted):
    made, text = promoted
    page = Page(text)
    counts = json.loads((made.folder / "rollout" / "status.json").read_text())["counts"]
    metrics = report_material.evaluation("candidate").metrics
    before = report_material.evaluation("champion").metrics
    assert "7,043 rows" in page.text["data"]
    assert "11 were repaired" in page.text["data"]
    assert "67 trials of 4 families in 26 s" in page.text["search"]
    for metric in ("roc_auc", "brier", "f1_weighted"):
        assert f"{metrics[metric]:.4f}" in page.text["model"]
        assert f"{metrics[metric] - before[metric]:+.4f}" in page.text["model"]
    assert "3,012" in page.text["load"]
    assert "failed requests seen by users: 0" in page.text["rollout"]
    assert f"0 of {counts['requests']:,} requests" in page.text["rollout"]
    assert f"{counts['candidate_requests']:,}" in text


def test_file_without_one_good_row_is_told(tmp_path):
    made = a_run(tmp_path, Outcome.REJECTED, last="ingest")
    path = made.folder / "ingest" / "quality.json"
    refused = json.loads(path.read_text())
    nothing = {"smallest": None, "largest": None, "quantiles": None, "histogram_edges": None, "histogram_counts": None}
    columns = [
        column | nothing | {"counts": dict.fromkeys(column["counts"], 0) if column["counts"] else None, "distinct": 0}
        for column in refused["columns"]
    ]
    path.write_text(json.dumps(refused | {"accepted": 0, "quarantined": 7043, "repaired": 0, "columns": columns}))
    page = Page(report.write(made.project, made.run).read_text(encoding="utf-8"))
    assert "No row was accepted" in page.text["data"]
    assert "7,043 went to quarantine (100 %" in page.text["data"]


def test_failures_that_users_saw_are_told_from_either_side(tmp_path):
    made = a_run(tmp_path)
    traffic = made.folder / "rollout" / "traffic.json"
    traffic.write_text(json.dumps(json.loads(traffic.read_text()) | {"failed": 3}))
    page = Page(report.write(made.project, made.run).read_text(encoding="utf-8"))
    assert "failed requests seen by users: 3" in page.text["rollout"]
    assert "counts 0 of" in page.text["rollout"]
    assert "counts 3 of" in page.text["rollout"]


def test_first_model_is_set_against_minimum_values_alone(tmp_path):
    made = a_run(tmp_path)
    report_material.write_gate(made.folder / "gate", champion=False)
    page = Page(report.write(made.project, made.run).read_text(encoding="utf-8"))
    assert "no champion yet" in page.text["model"]
    assert "plot-difference" not in page.ids


@pytest.mark.parametrize(
    ("file", "section"),
    [
        ("ingest/quality.json", "data"),
        ("train/candidates.json", "search"),
        ("gate/gate.json", "model"),
        ("loadtest/report.json", "load"),
        ("loadtest/locust_stats_history.csv", "load"),
        ("rollout/events.json", "rollout"),
    ],
)
@pytest.mark.parametrize("content", [b'{"rows": ', b"{}", b"[]", None])
def test_broken_file_makes_its_section_absent_and_is_logged(tmp_path, caplog, file, section, content):
    made = a_run(tmp_path)
    path = made.folder / file
    path.write_bytes(content) if content is not None else path.unlink()
    found = collect(made.project, made.run)
    absent = {name for name in FIELDS if isinstance(getattr(found, FIELDS[name]), Absent)}
    assert absent == {section}
    assert getattr(found, FIELDS[section]).broken
    assert [str(path) in words for words in found.broken] == [True]
    assert [record.message for record in caplog.records] == ["report.material_unreadable"]


def test_broken_file_is_told_at_the_top_and_in_its_section(tmp_path):
    made = a_run(tmp_path, Outcome.FAILED, last="gate")
    path = made.folder / "train" / "candidates.json"
    path.write_text('{"trials": [')
    text = report.write(made.project, made.run).read_text(encoding="utf-8")
    assert "This report is incomplete" in text[: text.index("<main>")]
    assert str(path) in Page(text).text["search"]


@pytest.mark.parametrize(
    "broken",
    [
        lambda events: events[0]["state"].pop("plan"),
        lambda events: events[5]["state"].update(phase="NEVER_HEARD_OF"),
        lambda events: events[5]["observation"]["counts"].update(requests="many"),
    ],
)
def test_event_of_another_shape_is_told(tmp_path, broken):
    made = a_run(tmp_path)
    path = made.folder / "rollout" / "events.json"
    events = json.loads(path.read_text())
    broken(events)
    path.write_text(json.dumps(events))
    assert collect(made.project, made.run).rollout.broken


def test_broken_lineage_is_told(tmp_path):
    made = a_run(tmp_path)
    (made.folder / "package" / "release.json").write_text("{}")
    found = collect(made.project, made.run)
    assert "release.json" in found.broken[0]
    assert "Bento" not in {fact.name for fact in found.facts}


def test_page_replaces_the_one_before(tmp_path):
    made = a_run(tmp_path)
    path = report.write(made.project, made.run)
    path.write_text("old", encoding="utf-8")
    assert report.write(made.project, made.run) == path
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [file.name for file in made.folder.iterdir() if file.name.startswith(".report")] == []
