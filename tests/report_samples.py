"""What the tests of the report show: two spans with predictions, scores as a run stores them, a reader of pages."""

from html.parser import HTMLParser

from rasd.modeling import EventPrediction, SpanPrediction, StancePrediction
from train.report import write_report

TYPES = ("offensive", "reinforcement", "failed_negotiation", "civilian_corridor")


def span(text, events=(), mentions=(), **fields):
    stances = [
        {"actor": actor, "surface": surface, "start": at, "end": at + len(surface), "stance": stance}
        for actor, surface, stance in mentions
        for at in [text.index(surface)]
    ]
    told = [{"type": name, "modality": modality} for name, modality in events]
    meta = {"id": "s1", "article_id": "a1", "outlet": "صدى", "published": "2016-05-02", "origin": "authored"}
    return meta | {"text": text, "events": told, "stances": stances} | fields


def prediction(gold, events=None, stances=()):
    """Give `events` as type → (probability, modality, its probability), all others 0.1."""
    found = tuple(EventPrediction(t, *(events or {}).get(t, (0.1, "actual", 0.7))) for t in TYPES)
    rows = tuple(
        StancePrediction(row["actor"], row["surface"], row["start"], row["end"], stance, probability)
        for row, (stance, probability) in zip(gold["stances"], stances, strict=True)
    )
    return SpanPrediction(gold["text"], 0, len(gold["text"]), found, rows)


TEXT = "هاجم الحرس القرية ثم لجأ الأهالي إلى الجيش"
WRONG = span(
    TEXT,
    [("offensive", "actual"), ("reinforcement", "prospective"), ("civilian_corridor", "negated")],
    [("guard", "الحرس", "hostile"), (None, "الجيش", "neutral")],
)
WRONG_GUESS = prediction(
    WRONG,
    {
        "offensive": (0.9, "actual", 0.8),  # right
        "reinforcement": (0.25, "actual", 0.6),  # missed; its modality is then no decision
        "failed_negotiation": (0.5, "actual", 0.9),  # invented, at the threshold itself
        "civilian_corridor": (0.75, "actual", 0.625),  # wrong modality
    },
    [("neutral", 0.875), ("neutral", 0.9)],
)
RIGHT = span("بدأ موسم قطاف الزيتون", id="s2")
RIGHT_GUESS = prediction(RIGHT)


def classes(*names):
    return {name: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 40} for name in names}


def system(events, stance):
    """Scores as an older run stores them."""
    return {
        "spans": 2,
        "articles": 1,
        "events": {"macro_f1": events, "micro_f1": 0.5, "exact_match": 0.5, "per_class": classes(*TYPES)},
        "modality": {"end_to_end": {"macro_f1": 0.25, "micro_f1": 0.25, "per_class": classes("offensive:actual")}},
        "stance": {"macro_f1": stance, "polar_f1": 0.5, "per_class": classes("hostile", "neutral")},
    }


def full_scores():
    checkpoint = system(0.75, 0.5)
    checkpoint["stance"]["confusion"] = {"labels": ["hostile", "neutral"], "rows": [[3, 1], [0, 0]]}
    checkpoint["events"]["per_class"]["offensive"] |= {"f1": 0.8125, "auprc": 0.9375}
    curve = {
        "ece": 0.03125,
        "brier": None,
        "bins": [{"confidence": 0.25, "accuracy": 0.125, "count": 8}],
        "coverage_risk": [{"coverage": 0.5, "risk": 0.0625}, {"coverage": 1.0, "risk": 0.125}],
    }
    test = {"system": "keywords", "metric": "events.macro_f1", "difference": 0.25, "interval": [0.125, 0.375]}
    slices = {
        "outlet": {
            "صدى": {"spans": 10, "event_macro_f1": 0.5, "event_micro_f1": None, "stance_rows": 31},
            "مدار": {"spans": 1200, "event_macro_f1": 0.625, "event_micro_f1": 0.5, "stance_rows": 0},
        },
        "year": {},
    }
    return {
        "checkpoint": checkpoint
        | {
            "intervals": {"events.macro_f1": [0.6875, 0.8125], "events.offensive": [0.75, 0.875]},
            "slices": slices,
            "calibration": {"events": curve, "stance": curve},
            "probes": {"quotation_wrap": {"cases": 12, "right": 0.75, "what": "stance turns neutral"}},
            "significance": [test | {"p": 0.0005, "p_holm": 0.001, "mcnemar_p": 0.00001, "mcnemar_p_holm": 0.00002}],
        },
        "keywords": system(0.5, 0.625),
        "majority": system(0.0, 0.25) | {"stance": {}},
    }


class Page(HTMLParser):
    """The tags, the scripts by id, and the tables by caption of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.scripts, self.tables, self.rows, self.inside = [], {}, {}, [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside.append((tag, dict(attrs)))
        if tag == "table":
            self.rows, self.caption = [], ""
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop()[0] != tag:
            pass
        if tag == "table":
            self.tables[self.caption] = self.rows

    def handle_data(self, data):
        names = [tag for tag, _ in self.inside]
        if names and names[-1] == "script":
            key = self.inside[-1][1].get("id", f"code {len(self.scripts)}")
            self.scripts[key] = self.scripts.get(key, "") + data
        elif "caption" in names:
            self.caption += data.strip()
        elif "td" in names or "th" in names:
            self.rows[-1][-1] += data

    def ids(self):
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]


def report(folder, scores, gold=(WRONG, RIGHT), guesses=(WRONG_GUESS, RIGHT_GUESS), title="تجربة", facts=None):
    path = folder / "report.html"
    write_report(path, title, scores, gold, guesses, facts or {}, 0.5)
    return Page(path)
