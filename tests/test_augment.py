import pytest
from datasets import Dataset

from train.__main__ import read_examples
from train.attributions import is_for
from train.augment import augment
from train.config import load_config
from train.data import FEATURES, SpanReader


@pytest.fixture(scope="module")
def train_spans(spans):
    rows = [span for span in spans if span["split"] == "train"][:250]
    return Dataset.from_dict({name: [row[name] for row in rows] for name in FEATURES}, features=FEATURES)


@pytest.fixture(scope="module")
def whole(train_spans, lexicon):
    return augment(train_spans, lexicon, noise=1, alias_swap=1, quotation=1, seed=3)


def test_nothing_asked_nothing_changed(train_spans, lexicon):
    same = augment(train_spans, lexicon, noise=0, alias_swap=0, quotation=0, seed=3)
    assert same.features == FEATURES and same.to_list() == train_spans.to_list()
    assert len(augment(train_spans.select([]), lexicon, noise=1, alias_swap=1, quotation=1, seed=3)) == 0


def test_noise_replaces_and_copies_follow(train_spans, whole):
    n = len(train_spans)
    assert whole["id"][:n] == train_spans["id"][:]
    assert whole[:n]["events"] == train_spans[:]["events"]
    changed = sum(a != b for a, b in zip(whole["text"][:n], train_spans["text"], strict=True))
    assert changed > 0.9 * n
    assert {span_id.split("~")[1] for span_id in whole["id"][n:]} == {"swap", "quote"}
    first = {row["id"]: row for row in train_spans}
    for row in list(whole)[n:]:
        source = first[row["id"].split("~")[0]]
        assert row["article_id"] == source["article_id"] and row["events"] == source["events"]
        assert row["split"] == "train" and row["text"] != source["text"] and row["stances"] != source["stances"]


def test_every_row_is_a_sound_span(whole, schema, lexicon):
    reader = SpanReader(schema, frozenset(lexicon.actors))
    assert reader.check([(row["id"], row) for row in whole]).to_list() == whole.to_list()


def test_shares_are_of_the_eligible_spans(train_spans, whole, lexicon):
    def counts(rows):
        return [sum(span_id.endswith(end) for span_id in rows["id"]) for end in ("~swap", "~quote")]

    swaps, quotes = counts(whole)
    assert swaps > 10 and quotes > 50
    part = augment(train_spans, lexicon, noise=0.5, alias_swap=0.5, quotation=0.2, seed=3)
    assert counts(part) == [round(0.5 * swaps), round(0.2 * quotes)]
    texts = zip(part["text"], train_spans["text"], strict=False)
    assert 0.4 * len(train_spans) < sum(a != b for a, b in texts) <= 0.5 * len(train_spans)


def test_swapped_names_are_of_the_training_half(train_spans, whole):
    first = {row["id"]: row for row in train_spans}
    for row in whole:
        if row["id"].endswith("~swap"):
            pairs = zip(row["stances"], first[row["id"].removesuffix("~swap")]["stances"], strict=True)
            changed = [new["surface"] for new, old in pairs if new["surface"] != old["surface"]]
            assert len(changed) == 1 and is_for(changed[0], "training")


def test_the_seed_decides(train_spans, lexicon):
    rows = train_spans.select(range(60))
    shares = {"noise": 0.5, "alias_swap": 1, "quotation": 0.5}
    first = augment(rows, lexicon, **shares, seed=1).to_list()
    assert first == augment(rows, lexicon, **shares, seed=1).to_list()
    assert first != augment(rows, lexicon, **shares, seed=2).to_list()


def test_a_share_is_checked(train_spans, lexicon):
    with pytest.raises(ValueError, match=r"quotation is 1.5; give a share between 0 and 1"):
        augment(train_spans, lexicon, noise=0, alias_swap=0, quotation=1.5, seed=3)


def test_runs_with_other_seeds_may_train_on_the_same_variants(schema, small_config):
    def texts(seed: int, variants: str) -> list[str]:
        config = load_config(small_config, [f"seed={seed}", f"data.augment.seed={variants}"])
        return [example["text"] for example in read_examples(config, "train", schema)[0]]

    assert texts(1, "5") == texts(2, "5") == texts(5, "null") != texts(1, "null")
