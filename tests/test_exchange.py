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
    assert (repairs.lost, repairs.shifted) == ([], 0)
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


@pytest.mark.parametrize("shift", [-3, 1, 40])
def test_a_constant_shift_is_recognised(shift):
    repairs = Repairs()
    assert doccano.load(moved(ROWS, shift), repairs) == ROWS
    assert (repairs.as_they_are, repairs.shifted, repairs.lost) == (0, 4, [])


def edited(edit):
    """Return what comes back from doccano after `edit` of the first document's marks."""
    line = json.loads(doccano.dump(ROWS).splitlines()[0])
    edit(line["entities"])
    repairs = Repairs()
    (row,) = doccano.load(json.dumps(line, ensure_ascii=False), repairs)
    return row, repairs


def test_what_an_annotator_changed_stays_changed():
    first = ROWS[0]["stances"][0]

    def shrink_and_add(marks):
        marks[0][1] -= 4  # ميليشيا without the name
        marks.append([0, 2, marks[2][2]])  # a second mark of a label that was there

    row, repairs = edited(shrink_and_add)
    assert row["stances"][0]["surface"] == first["surface"][:-4]
    assert row["stances"][1:4] == ROWS[0]["stances"][1:]
    assert row["stances"][4]["surface"] == TEXT[:2]
    assert repairs.as_they_are == 5


def test_a_mark_outside_the_text_is_reported_and_the_rest_is_kept():
    row, repairs = edited(lambda marks: marks.append([3, 999, "hostile:isis"]))
    assert row["stances"] == ROWS[0]["stances"]
    assert repairs.lost == [f"line 1: the mark 3:999 is outside the text of {len(TEXT)} characters"]
    assert "1 not found" in repairs.summary()


def test_words_that_stand_twice_keep_their_place_in_label_studio():
    text = "🔴🔴🔴🔴 قسد قسد تتقدم"
    row = ROWS[0] | {"text": text, "events": []}
    row["stances"] = [{"actor": "sdf", "surface": "قسد", "start": 5, "end": 8, "stance": "neutral"}]
    repairs = Repairs()
    assert label_studio.load(label_studio.dump([row]), repairs) == [row]
    assert repairs.utf16 == 1


def test_a_mark_that_slipped_is_found_by_its_words():
    tasks = json.loads(label_studio.dump(ROWS))
    value = tasks[0]["annotations"][0]["result"][1]["value"]
    value["start"] += 5
    value["end"] += 5
    repairs = Repairs()
    assert label_studio.load(json.dumps(tasks), repairs) == ROWS
    assert repairs.shifted == 1
    value["text"] = "لا وجود له"
    assert len(label_studio.load(json.dumps(tasks), repairs)[0]["stances"]) == 3
    assert "لا وجود له is not at" in repairs.lost[0]


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


def test_a_newer_export_names_the_parts_of_a_mark():
    line = json.loads(doccano.dump(ROWS).splitlines()[1])
    line["entities"] = [{"start_offset": 4, "end_offset": 7, "label": "hostile:isis"}]
    (row,) = doccano.load(json.dumps(line), Repairs())
    assert row["stances"] == [{"actor": "isis", "surface": "ثان", "start": 4, "end": 7, "stance": "hostile"}]


def test_label_studio_takes_the_last_annotation_and_leaves_out_skipped_tasks():
    tasks = json.loads(label_studio.dump(ROWS))
    tasks[0]["annotations"] = [{"result": []}, *tasks[0]["annotations"], {"was_cancelled": True, "result": []}]
    tasks[1]["annotations"] = []
    repairs = Repairs()
    assert label_studio.load(json.dumps(tasks), repairs) == ROWS[:1]
    assert repairs.skipped == 1


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
        (doccano, json.dumps({**json.loads(doccano.dump(ROWS[1:])), "cats": [7]}), "line 1: AttributeError"),
        (
            label_studio,
            json.dumps(json.loads(label_studio.dump(ROWS))).replace('["neutral"]', "[]"),
            "task 1: IndexError",
        ),
        (table, "id,text\n1,a\n", "line 1: the columns .* are missing"),
        (table, table.dump(ROWS[1:]) + 'x,a,o,,"open,authored,y,test,,,[]\n', "line 3: .*quotation mark not closed"),
        (table, table.dump(ROWS[1:]).rstrip() + ",more\n", "line 3: not 11 cells"),
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
