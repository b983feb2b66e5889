"""The report: self-contained, true to the texts, its errors and tables as counted by hand."""

import json
import re
from pathlib import Path

import pytest
import vl_convert
from report_samples import (
    RIGHT,
    RIGHT_GUESS,
    TEXT,
    WRONG,
    WRONG_GUESS,
    full_scores,
    prediction,
    report,
    span,
    system,
)

from train.cards import count_errors, cut_text, has_error, make_card
from train.report import compare_with_baselines, slice_table

NASTY = "قال 😀 «الحرس» \"نعم\" 'لا' </script><!-- <script>alert(1)</script> & \u2028\u2029\\u003c\t\\ ]]> عاد"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    nasty = span(NASTY, mentions=[(None, "الحرس", "supportive")], id="<b id='x'>", outlet="</script>")
    return report(
        tmp_path_factory.mktemp("report"),
        full_scores(),
        (WRONG, RIGHT, nasty),
        (WRONG_GUESS, RIGHT_GUESS, prediction(nasty, stances=[("supportive", 1.0)])),
        title="<i>& run",
        facts={"seed": "13", "<u>": "<u>"},
    )


def test_nothing_is_loaded_from_elsewhere(page):
    loading = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "formaction", "background"}
    places = [value for _, attributes in page.tags for name, value in attributes.items() if name in loading]
    assert places
    assert all(place.startswith("#") for place in places)
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base", "img"}
    policies = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none';")
    assert "http" not in policies[0]
    templates = Path("train/templates")
    for name in ("report.css", "report.js"):
        assert not re.search(r"https?:|@import|url\(|fetch\(|import\(", (templates / name).read_text(encoding="utf-8"))


def test_the_script_finds_what_it_asks_for(page):
    code = Path("train/templates/report.js").read_text(encoding="utf-8")
    asked = set(re.findall(r'(?:getElementById|read)\("([\w-]+)"\)', code))
    assert {"card-data", "chart-data", "filters"} <= asked
    assert asked <= set(page.ids())
    assert len(set(page.ids())) == len(page.ids())


def test_texts_come_back_exactly(page):
    cards = json.loads(page.scripts["card-data"])
    assert ["".join(piece for piece, _, _ in card["pieces"]) for card in cards] == [TEXT, RIGHT["text"], NASTY]
    assert (cards[2]["id"], cards[2]["outlet"]) == ("<b id='x'>", "</script>")
    assert [piece for piece, mentions, _ in cards[2]["pieces"] if mentions == [0]] == ["الحرس"]
    assert not re.search("[<\u2028\u2029]", page.scripts["card-data"])
    assert not {tag for tag, _ in page.tags} & {"i", "u"}
    assert page.tables["The run"] == [["seed", "13"], ["<u>", "<u>"]]


def test_texts_are_cut_at_code_points():
    text = "😀 هاجم الحرس القرية"
    assert cut_text(text, [(7, 12)]) == [("😀 هاجم ", [], []), ("الحرس", [0], [0]), (" القرية", [], [])]
    assert cut_text(text, []) == [(text, [], [])]
    assert cut_text("الحرس", [(0, 5)]) == [("الحرس", [0], [0])]


def test_mentions_that_overlap_or_touch():
    text = "قائد حرس المدينة هنا"
    inside = cut_text(text, [(5, 8), (0, 16)])
    assert inside == [("قائد ", [1], []), ("حرس", [1, 0], [0]), (" المدينة", [1], [1]), (" هنا", [], [])]
    assert cut_text("ابج دهو", [(0, 5), (4, 7)]) == [
        ("ابج ", [0], []),
        ("د", [0, 1], []),
        ("هو", [1], [0, 1]),
    ]  # the first ends within a word: it is numbered where the word ends


def test_a_number_does_not_part_a_word():
    text = "جيشُهم، عاد"
    assert cut_text(text, [(0, 3)]) == [("جيش", [0], []), ("ُهم", [], [0]), ("، عاد", [], [])]


def test_errors_and_how_sure_they_were():
    card = make_card(WRONG, WRONG_GUESS, 0.5)
    assert [(e["type"], e["error"], e["sureness"]) for e in card["events"]] == [
        ("offensive", None, 0.0),
        ("reinforcement", "missed", 0.75),
        ("failed_negotiation", "invented", 0.5),
        ("civilian_corridor", "wrong modality", 0.625),
    ]
    assert [(s["error"], s["sureness"]) for s in card["stances"]] == [("wrong stance", 0.875), (None, 0.0)]
    assert [e["gold"] for e in card["events"]] == ["actual", "prospective", None, "negated"]
    assert has_error(card)
    right = make_card(RIGHT, RIGHT_GUESS, 0.5)
    assert not has_error(right)
    assert count_errors([card, right, card]) == {
        "missed": {"reinforcement": 2},
        "invented": {"failed_negotiation": 2},
        "wrong modality": {"negated → actual": 2},
        "wrong stance": {"hostile → neutral": 2},
    }


def test_tables_hold_the_scores(page):
    headline = next(rows for caption, rows in page.tables.items() if caption.startswith("Macro-F1"))
    assert headline[1] == ["checkpoint", "0.750 [0.688, 0.812]", "–", "0.250", "0.500", "0.500"]
    assert headline[3] == ["majority", "0.000", "–", "0.250", "–", "–"]
    offensive = page.tables["events"][2]
    assert offensive == ["offensive", "40", "0.500", "0.500", "0.812 [0.750, 0.875]", "0.938", "0.500", "0.500"]
    assert page.tables["stance"][2][-1] == "–"  # majority has no stance
    test = next(rows for caption, rows in page.tables.items() if caption.startswith("Checkpoint minus"))
    assert test[1] == ["keywords", "events", "0.250 [0.125, 0.375]", "0.0005", "0.001", "< 0.0001"]
    assert page.tables["Probes"][1] == ["quotation wrap", "stance turns neutral", "12", "0.750"]
    assert page.tables["By outlet"][1][:4] == ["مدار", "1,200", "0.625", "0.500"]
    assert "By year" not in page.tables
    assert page.tables["Errors by kind"][4] == ["wrong stance", "1", "hostile → neutral 1"]


def test_slices_come_by_support_and_small_ones_are_marked():
    rows = full_scores()["checkpoint"]["slices"]["outlet"]
    table = slice_table("outlet", rows)
    assert table["columns"] == ["spans", "events, macro-F1", "events, micro-F1", "stances"]
    assert [name for name, _ in table["rows"]] == ["مدار", "صدى"]
    assert [[cell["small"] for cell in cells] for _, cells in table["rows"]] == [
        [False] * 4,
        [False, True, True, False],
    ]
    few_events = slice_table("year", {"2016": {"spans": 90, "events": 29, "event_macro_f1": 1.0}})
    assert [cell["small"] for cell in few_events["rows"][0][1]] == [False, False, True]
    years = {"2015": {"spans": 1}, "2016": {"spans": 9}}
    assert [name for name, _ in slice_table("year", years)["rows"]] == ["2015", "2016"]


def test_plots_can_be_drawn_and_have_the_numbers(page):
    charts = json.loads(page.scripts["chart-data"])
    assert len(charts) == sum(attributes.get("class") == "chart" for _, attributes in page.tags) == 8
    for chart in charts:
        assert vl_convert.vegalite_to_vega(chart)["marks"]
        assert "http" not in json.dumps(chart)
    data = charts[0]["data"]["values"]
    ours = next(row for row in data if row["class"] == "offensive" and row["system"] == "checkpoint")
    assert (ours["F1"], ours["low"], ours["high"]) == (0.8125, 0.75, 0.875)
    assert len(data) == 4 * 3
    confusion = charts[6]["data"]["values"]
    assert [(row["gold"], row["predicted"], row["share"]) for row in confusion] == [
        ("hostile", "hostile", 0.75),
        ("hostile", "neutral", 0.25),
        ("neutral", "hostile", 0),
        ("neutral", "neutral", 0),
    ]


def test_the_line_in_words():
    scores = full_scores()
    assert compare_with_baselines(scores) == (
        "Against the best baseline of each task, the checkpoint is, in macro-F1, on events ahead of keywords by 0.250 "
        "(p after Holm: 0.001); on type and modality level with keywords; on stance behind keywords by 0.125."
    )
    scores["checkpoint"]["significance"][0]["p_holm"] = 0.05
    assert "(p after Holm: 0.05, not significant)" in compare_with_baselines(scores)
    assert compare_with_baselines({"checkpoint": system(0.5, 0.5)}) == "No baseline was scored on these spans."


def test_scores_of_an_older_run(tmp_path):
    page = report(tmp_path, {"checkpoint": system(0.5, 0.5) | {"stance": {}}})
    assert set(page.ids()) >= {"scores", "classes", "plots", "browser"}
    assert "slices" not in page.ids()
    assert "stance" not in page.tables
    assert len(json.loads(page.scripts["chart-data"])) == 2
    assert len(json.loads(page.scripts["card-data"])) == 2


def test_a_report_that_fails_leaves_the_old_one(tmp_path):
    report(tmp_path, {"checkpoint": system(0.5, 0.5)})
    before = (tmp_path / "report.html").read_bytes()
    broken = span("نص \ud800")
    with pytest.raises(UnicodeEncodeError):
        report(tmp_path, {"checkpoint": system(0.5, 0.5)}, (broken,), (prediction(broken),))
    with pytest.raises(ValueError, match="shorter"):
        report(tmp_path, {"checkpoint": system(0.5, 0.5)}, (WRONG, RIGHT), (WRONG_GUESS,))
    with pytest.raises(ValueError, match="shorter"):
        report(tmp_path, {"checkpoint": system(0.5, 0.5)}, (WRONG,), (prediction(RIGHT),))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == before
