from tokenizers import Tokenizer, models, pre_tokenizers

from rasd.batching import cut_windows, plan_batches, window_of
from rasd.normalization import ARABERT_TOKENS, with_arabert_normalization


def test_batches_hold_every_index_once_within_the_budget():
    lengths = [5, 90, 7, 30, 31, 6, 200, 29]
    batches = list(plan_batches(lengths, budget=100))
    assert sorted(index for batch in batches for index in batch) == list(range(8))
    assert batches[0] == [6]  # longer than the budget: alone
    assert all(len(batch) * max(lengths[i] for i in batch) <= 100 for batch in batches[1:])
    assert batches[2] == [4, 3, 7]
    assert list(plan_batches([], budget=100)) == []


def test_windows_overlap_and_reach_the_end():
    offsets = [(3 * i, 3 * i + 2) for i in range(10)]
    assert cut_windows(offsets, room=4, overlap=1) == [(0, 11), (8, 20), (17, 29)]
    assert cut_windows(offsets, room=10, overlap=2) == [(0, 29)]


def test_a_window_that_begins_with_a_url_holds_all_of_it():
    url, words = "https://example.org/a?b=1", ["قصفت", "الطائرات", "أطراف", "البلدة"]
    pieces = ["[UNK]", *ARABERT_TOKENS, *words]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer = with_arabert_normalization(tokenizer)
    text = f"{words[0]} {words[1]} {url} {words[2]} {words[3]}"
    encoded = tokenizer.encode(text)
    assert encoded.tokens == [*words[:2], "[رابط]", *words[2:]]
    assert text[slice(*encoded.offsets[2])] == url[-1]
    first, second = (text[a:b] for a, b in cut_windows(encoded.offsets, room=3, overlap=1))
    assert tokenizer.encode(first).tokens == encoded.tokens[:3]
    assert tokenizer.encode(second).tokens == encoded.tokens[2:]
    assert url in first
    assert url in second


def test_a_character_of_several_tokens_is_read_whole():
    offsets = [(0, 1), (2, 3), (2, 3), (2, 3), (4, 5)]
    assert cut_windows(offsets, room=3, overlap=1) == [(0, 3), (2, 5)]


def test_a_mention_is_read_where_it_is_whole():
    windows = [(0, 11), (9, 20), (18, 29)]
    assert window_of(9, 11, windows) == (0, 11)
    assert window_of(10, 14, windows) == (9, 20)
    assert window_of(5, 15, windows) == (0, 11)
    assert window_of(29, 30, windows) == (18, 29)
