"""Round trips through the formats of annotation tools, and the repair of their offsets."""

import json

import pytest

from train.annotations import doccano, label_studio, table
from train.annotations.offsets import Repairs, code_point_offset, utf16_offset

TEXT = "😀🚀 قـــصفَتْ «ميليشيا أسد»؛ HTS 🕊️ و" + 'الجَيْشُ الحرّ، "أفاد" ناشطٌ\tعبر Telegram؛ 👨‍👩‍👧'


def mark(actor, surface, stance):
    start = TEXT.index(surface)
    return {"actor": actor, "surface": surface, "start": start, "end": start + len(surface), "stance": stance}


ROWS = [
    {
        "id": "x1",
        "article_id": "o/a;1",
        "outlet": 'o, "p"',
        "published": "2016-01-02",
        "text": TEXT,
        "events": [
            {"type": "offensive", "modality": "actual"},
            {"type": "civilian_corridor", "modality": "negated"},
        ],
        "stances": [
            mark("syr_regime", "ميليشيا أسد", "neutral"),
            mark("hts", "HTS", "neutral"),
            mark(None, "الجَيْشُ الحرّ", "supportive"),
            mark(None, "Telegram؛ 👨‍👩‍👧", "supportive"),
        ],
        "origin": "authored",
        "annotator": "x",
        "split": "train",
    },
    {
        "id": "x2",
        "article_id": "o/b",
        "outlet": "o",
        "published": None,
        "text": "سطر\nثان",
        "events": [],
        "stances": [],
        "origin": "annotated",
        "annotator": "y",
        "split": "test",
    },
]
TOOLS = [label_studio, doccano, table]


@pytest.mark.parametrize("tool", TOOLS)
def test_round_trip_loses_nothing(tool):
    repairs = Repairs()
    assert tool.load(tool.dump(ROWS), repairs) == ROWS
    assert repairs.lost == []
    assert repairs.shifted == 0
    assert repairs.as_they_are + repairs.utf16 == 4


@pytest.mark.parametrize("tool", TOOLS)
def test_round_trip_of_the_project_s_own_spans(tool, spans):
    repairs = Repairs()
    assert tool.load(tool.dump(spans), repairs) == spans
    assert repairs.lost == []


def test_label_studio_counts_in_utf16_as_a_browser_does():
    (task, _) = json.loads(label_studio.dump(ROWS))
    region = next(entry for entry in task["annotations"][0]["result"] if entry["type"] == "labels")
    assert region["value"]["start"] == ROWS[0]["stances"][0]["start"] + 2  # two emoji of two units each
    units = TEXT.encode("utf-16-le")
    place = slice(2 * region["value"]["start"], 2 * region["value"]["end"])
    assert units[place].decode("utf-16-le") == "ميليشيا أسد"


def moved(rows, shift):
    """Return a doccano export whose marks are shifted."""
    lines = [json.loads(line) for line in doccano.dump(rows).splitlines()]
    for line in lines:
        line["entities"] = [[start + shift, end + shift, label] for start, end, label in line["entities"]]
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)


@pytest.mark.parametrize("shift", [-3, 1, 5])
def test_shifted_marks_are_found_again(shift):
    repairs = Repairs()
    assert doccano.load(moved(ROWS, shift), repairs) == ROWS
    assert (repairs.as_they_are, repairs.shifted, repairs.lost) == (0, 4, [])


def test_a_mark_that_is_not_found_is_reported_and_the_rest_is_kept():
    repairs = Repairs()
    rows = doccano.load(moved(ROWS, 60), repairs)
    assert rows[0]["stances"] == []
    assert rows[0]["events"] == ROWS[0]["events"]
    assert len(repairs.lost) == 4
    assert repairs.lost[0].startswith("line 1: ['ميليشيا أسد'] is not at ")
    assert "4 not found" in repairs.summary()


def test_utf16_offsets_are_recognised():
    lines = [json.loads(line) for line in doccano.dump(ROWS).splitlines()]
    for entity in lines[0]["entities"]:
        entity[:2] = [utf16_offset(TEXT, entity[0]), utf16_offset(TEXT, entity[1])]
    repairs = Repairs()
    assert doccano.load("\n".join(json.dumps(line) for line in lines), repairs) == ROWS
    assert repairs.utf16 == 4


def test_offset_conversion():
    for offset in range(len(TEXT) + 1):
        assert code_point_offset(TEXT, utf16_offset(TEXT, offset)) == offset
    assert code_point_offset("😀", 1) is None
    assert code_point_offset("😀", 3) is None
    assert code_point_offset("😀", -1) is None


def test_a_new_mark_without_words_is_checked_by_its_bounds():
    line = json.loads(doccano.dump(ROWS).splitlines()[1])
    line["entities"] = [{"start_offset": 4, "end_offset": 7, "label": "hostile:isis"}]
    (row,) = doccano.load(json.dumps(line), Repairs())
    assert row["stances"] == [{"actor": "isis", "surface": "ثان", "start": 4, "end": 7, "stance": "hostile"}]
    line["entities"] = [[4, 99, "hostile:isis"]]
    repairs = Repairs()
    assert doccano.load(json.dumps(line), repairs)[0]["stances"] == []
    assert repairs.lost == ["line 1: the mark 4:99 is outside the text of 7 characters"]


def test_label_studio_takes_the_last_annotation_and_leaves_out_skipped_tasks():
    tasks = json.loads(label_studio.dump(ROWS))
    tasks[0]["annotations"] = [{"result": []}, *tasks[0]["annotations"], {"was_cancelled": True, "result": []}]
    tasks[1]["annotations"] = []
    assert label_studio.load(json.dumps(tasks), Repairs()) == ROWS[:1]


@pytest.mark.parametrize(
    ("tool", "content", "message"),
    [
        (label_studio, "{}", "must hold a JSON array"),
        (label_studio, '[{"id": 7, "data": {}}]', "task 7: KeyError 'annotations'; import tasks that"),
        (
            label_studio,
            '[{"data": {"text": "a"}, "annotations": [{"result": [{"from_name": "events", "value": '
            '{"choices": ["offensive"]}}]}]}]',
            "task 1: the choice 'offensive' is no type/modality",
        ),
        (doccano, '{"text": "a"}', "line 1: KeyError 'rasd_id'; import lines that"),
        (table, "id,text\n1,a\n", "line 1: the columns .* are missing"),
        (
            table,
            table.dump(ROWS[1:]).replace("[]", "["),
            "line 3: .*`export csv` shows the format",
        ),
    ],
)
def test_wrong_exports_are_named(tool, content, message):
    with pytest.raises(ValueError, match=message):
        tool.load(content, Repairs())
