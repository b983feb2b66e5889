"""AraBERT's preprocessing inside tokenizer.json: the published tokens, raw offsets, no string that breaks it."""

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rasd.normalization import ARABERT_TOKENS, arabert_normalizer, with_arabert_normalization
from rasd.tokenizer_loading import load_tokenizer

ROOT = Path(__file__).parent.parent
GOLDEN = [json.loads(line) for line in (ROOT / "tests/golden/arabert.jsonl").open(encoding="utf-8")]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
REFERENCE = re.compile(r"&#?\w+;?$")


@pytest.fixture(scope="module")
def vocabulary() -> dict[str, int]:
    """A WordPiece vocabulary of the authored training spans, with every character that AraBERT keeps."""
    lines = (ROOT / "data/authored/train.jsonl").read_text(encoding="utf-8").splitlines()
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    kept = sorted({char for row in GOLDEN for char in row["published"] + row.get("intended", "")} - {" "})
    trainer = trainers.WordPieceTrainer(
        vocab_size=4000, special_tokens=[*SPECIAL, *ARABERT_TOKENS], initial_alphabet=kept, show_progress=False
    )
    tokenizer.train_from_iterator([json.loads(line)["text"] for line in lines] + [" ".join(kept)] * 3, trainer)
    pieces = [*tokenizer.get_vocab(), *(f"##{char}" for char in kept)]
    return {piece: number for number, piece in enumerate(dict.fromkeys([*SPECIAL, *sorted(pieces)]))}


@pytest.fixture(scope="module")
def plain(vocabulary) -> Tokenizer:
    """A tokenizer as AraBERT's tokenizer.json has it, its own tokens never split."""
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=None)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(token, normalized=True) for token in ARABERT_TOKENS])
    return tokenizer


@pytest.fixture(scope="module")
def wrapped(plain) -> Tokenizer:
    return with_arabert_normalization(plain)


@pytest.fixture(scope="module")
def normaliser() -> normalizers.Normalizer:
    return arabert_normalizer()


@pytest.fixture(scope="module")
def hub_folder(vocabulary, tmp_path_factory) -> Path:
    """A folder as the Hub has it: vocabulary and settings, loaded as a BertTokenizer, which ignores never_split."""
    folder = tmp_path_factory.mktemp("hub") / "bert-base-arabertv02"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": len(vocabulary)}))
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "never_split": list(ARABERT_TOKENS)}
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 512}))
    return folder


def tokens(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).tokens


@pytest.mark.parametrize("row", GOLDEN, ids=range(len(GOLDEN)))
def test_raw_text_gives_the_tokens_of_the_published_preprocessor(row, plain, wrapped):
    ours = with_arabert_normalization(plain, keep_emoji=True) if row["model"].endswith("twitter") else wrapped
    published = tokens(plain, row["published"])
    assert tokens(ours, row["raw"]) == tokens(plain, row.get("intended", row["published"]))
    assert (tokens(ours, row["raw"]) != published) == ("reason" in row)


def test_the_golden_file_is_wide():
    assert len(GOLDEN) >= 120
    assert sum("reason" in row for row in GOLDEN) >= 15
    for token in ARABERT_TOKENS:
        assert sum(token in row["published"] for row in GOLDEN) >= 3


@pytest.mark.parametrize("row", [row for row in GOLDEN if "twitter" not in row["model"]])
def test_every_token_points_at_the_raw_characters_that_it_came_from(row, wrapped, normaliser):
    raw = row["raw"]
    for token, (start, end) in _placed(wrapped, raw):
        if token in ARABERT_TOKENS:  # the last character of what was replaced
            start = max(raw.rfind(" ", 0, start) + 1, 0)
            end = (raw + " ").find(" ", end)
        elif found := REFERENCE.search(raw[: start + 1]):  # it too
            start = found.start()
        while raw[end : end + 1] in tuple("\u0653\u0654\u0655"):  # composed with the letter
            end += 1
        if token != "[UNK]":
            assert token.removeprefix("##") in normaliser.normalize_str(raw[start:end])


def _placed(tokenizer, raw):
    encoding = tokenizer.encode(raw, add_special_tokens=False)
    return zip(encoding.tokens, encoding.offsets, strict=True)


WEB = ["http://", "https://x.y/ز?a=", "www.", ".com", "@", "a@b.co", "<br />", "<b", ">"]
REFERENCES = ["&", "&amp;", "&#1575", "&lt", ";"]
CONTROLS = ["\u200d", "\u200c", "\u200f", "\u202e", "\ufeff", "\x00", "\x1c"]
LETTERS = ["ﷺ", "ﻻ", "ﹱ", "ﱞ", "ی", "ک", "گ", "۴", "٤", "12", "كلم", "Ab", "ٱ", "\u0653", "\u064b", "ـ"]
SYMBOLS = ["🙂", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "…"]
PIECES = st.one_of(
    st.sampled_from([*ARABERT_TOKENS, *WEB, *REFERENCES, *CONTROLS, *LETTERS, *SYMBOLS]),
    st.characters(min_codepoint=0xFB50, max_codepoint=0xFEFF),
    st.characters(min_codepoint=0x600, max_codepoint=0x6FF),
    st.characters(exclude_categories=["Cs"]),
    st.builds(lambda char, count: char * count, st.characters(exclude_categories=["Cs"]), st.integers(3, 300)),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_no_string_breaks_it(wrapped, raw):
    first = 0
    for token, (start, end) in _placed(wrapped, raw):
        assert first <= start < end <= len(raw), (token, start, end)
        first = start


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_it_normalised_holds_only_characters_of_the_vocabulary(normaliser, raw):
    once = normaliser.normalize_str(raw)
    kept = r"""[ 0-9a-zA-Zء-غف-يٱ-ٴ୍!"#$%'()*+,.:;<=>?@^_`{|}~·—٪٫٬’،؟“؛”»«–…‘\-\[\]\\]*"""
    assert re.fullmatch(kept, once)


@pytest.mark.parametrize(
    "piece", ["a", "ه", "<", "&", "@", "1", ".", "a.", "http://", "www.", "a@", "<a ", "12كلم", "&#1"]
)
def test_100_kb_of_anything_take_no_more_than_linear_time(wrapped, piece):
    long = (piece * 100_000)[:100_000]
    started = time.process_time()
    wrapped.encode(long[:10_000])
    short_seconds = time.process_time() - started
    started = time.process_time()
    wrapped.encode(long)
    assert time.process_time() - started < max(2.0, 30 * short_seconds)


def test_wrapping_twice_changes_nothing_and_the_given_one_stays_as_it_is(plain, wrapped):
    before = plain.to_str()
    again = with_arabert_normalization(with_arabert_normalization(plain))
    assert again.to_str() == wrapped.to_str()
    assert plain.to_str() == before != wrapped.to_str()


def test_tokens_that_the_file_has_as_special_ones_are_found_in_replaced_text(plain, wrapped):
    special = Tokenizer.from_str(plain.to_str().replace('"normalized":true', '"normalized":false'))
    raw = "على https://example.org/x"
    assert "[رابط]" not in tokens(special, raw)
    assert tokens(with_arabert_normalization(special), raw) == tokens(wrapped, raw)
    assert tokens(wrapped, raw)[-1] == "[رابط]"


def test_refuses_other_vocabularies(vocabulary):
    for change in (lambda v: v.pop("[بريد]"), lambda v: v.update({"ال+": len(v)})):
        other = dict(vocabulary)
        change(other)
        other = {piece: number for number, piece in enumerate(other)}
        with pytest.raises(ValueError, match=r"\[بريد\]|arabertv02"):
            with_arabert_normalization(Tokenizer(models.WordPiece(other, unk_token="[UNK]")))


def test_a_hub_folder_is_wrapped_and_stays_so_when_saved(hub_folder, wrapped, tmp_path):
    raw = "قالَ الجيــش إنه https://example.org/x في12موقعاً"
    plain = AutoTokenizer.from_pretrained(hub_folder)
    loaded = load_tokenizer(str(hub_folder))
    assert loaded.tokenize(raw) == tokens(wrapped, raw) != plain.tokenize(raw)
    assert "[رابط]" in loaded.tokenize(raw)
    assert len(loaded) == len(plain)
    loaded.save_pretrained(tmp_path / "model")
    saved = AutoTokenizer.from_pretrained(tmp_path / "model")
    for tokenizer in (loaded, saved, load_tokenizer(str(tmp_path / "model"))):
        assert isinstance(tokenizer, PreTrainedTokenizerFast)
        assert tokenizer(raw, "الجيش").data == loaded(raw, "الجيش").data
        lengths = len(tokens(wrapped, "الجيش")), len(tokens(wrapped, raw))
        assert tokenizer("الجيش", raw)["token_type_ids"] == [0] * (lengths[0] + 2) + [1] * (lengths[1] + 1)
        assert tokenizer.model_max_length == plain.model_max_length == 512
        assert tokenizer.special_tokens_map == plain.special_tokens_map
        assert tokenizer.padding_side == plain.padding_side
        assert tokenizer.backend_tokenizer.to_str() == saved.backend_tokenizer.to_str()
