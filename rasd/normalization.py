"""Arabic normalisation as `tokenizers` normalizers, so that it lives inside `tokenizer.json`.

Whoever loads the tokenizer, in any runtime, gets it with the tokenizer: raw text goes in, and the token offsets point
into that raw text. Nothing has to be remembered at inference time.
"""

import json
from html.entities import html5
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

# Harakat, tanwin, shadda, superscript alef, Quranic annotation signs, tatweel.
ARABIC_MARKS = "[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]"
# Zero-width characters, bidi marks, embeddings, overrides and isolates, soft hyphen, byte order mark.
INVISIBLE = "[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"

URL_TOKEN, EMAIL_TOKEN, MENTION_TOKEN = ARABERT_TOKENS = ("[رابط]", "[بريد]", "[مستخدم]")
FARASA_PIECES = ("ال+", "+ة")
ARABIC = "\u0621-\u063a\u0641-\u064a"
# What AraBERT's vocabulary was built from; alef wasla and its neighbours, the virama stand apart as punctuation does.
APART = "\u0671-\u0674\u0b4d"
PUNCTUATION = r"""!"#$%'()*+,.:;<=>?@^_`{|}~·—٪٫٬’،؟“؛”»«–…‘/""" + r"\-\[\]\\"
KEPT = f" 0-9a-zA-Z{ARABIC}{APART}{PUNCTUATION}"
EMOJI = r"\p{Extended_Pictographic}\x{1f1e6}-\x{1f1ff}\x{1f3fb}-\x{1f3ff}"
# Letters of neighbouring languages and the Arabic letter that stands for each of them.
NEIGHBOURS = {"ي": "یے", "ك": "کڪگڭ", "ه": "ھہەۀ", "ة": "ۃ", "ب": "پ", "ج": "چ", "ز": "ژ", "ف": "ڤ"}
# What is written now one way and now another, by habit and not by meaning: hamza on alef, final ya and alef maqsura,
# final ha and ta marbuta, digits, quotation marks; under the one that stands for all.
SPELLINGS = {
    "ا": "أإآٱ",
    "ي": "ى",
    "ه": "ة",
    '"': "«»“”„",
    **{str(digit): "٠١٢٣٤٥٦٧٨٩"[digit] + "۰۱۲۳۴۵۶۷۸۹"[digit] for digit in range(10)},
}
FOLDS = str.maketrans({other: read_as for read_as, others in SPELLINGS.items() for other in others})
FORMS = r"\x{fb50}-\x{fdff}\x{fe70}-\x{feff}"  # presentation forms of Arabic letters and ligatures
MARK_FORMS = r"\x{fc5e}-\x{fc63}\x{fcf2}-\x{fcf4}\x{fe70}-\x{fe7f}"  # those of marks alone
ELLIPSIS_KEPT = "\ue000"  # stands for the ellipsis while compatibility forms are folded

WORD = r"\p{L}\p{N}_"
NOT_SPACE = r"[^\s\x{1c}-\x{1f}]"
HOST = "-a-zA-Z0-9@:%._+~#="
# Look-behinds let a match begin at the beginning of a run only: the same matches, in linear time.
URL_PATTERNS = (
    rf"(?:https?://.|(?<![{HOST}]))[{HOST}]{{2,}}?\.[a-z]{{2,6}}(?![{WORD}])[{HOST}?&/]*",
    r"https?://[a-zA-Z0-9_\-./~?=%&]+",
    r"www[a-zA-Z0-9_\-?=%&/.~]+",
    r"(?<![a-zA-Z])[a-zA-Z]++\.com",
    rf"http{NOT_SPACE}+",
    rf"www{NOT_SPACE}*",
    "://",
)
EMAIL_PATTERNS = (
    rf"(?<![{WORD}\-])[{WORD}\-]++@(?:[{WORD}\-]++\.)+[{WORD}\-]+",
    rf"(?<!{NOT_SPACE}){NOT_SPACE}+@{NOT_SPACE}+",
)
MARKUP = "</?[^>]{1,300}>"


def arabic_news_normalizer() -> normalizers.Normalizer:
    """Return the normaliser of unmarked, visible, NFKC, single-spaced text.

    Vowel marks, tatweel and invisible controls vanish, compatibility forms (presentation forms, ligatures, wide digits)
    are folded as the encoder's own normaliser folds them, and every run of white space or control characters becomes
    one space. Letters, digits and punctuation stay as they are, so plain text gets the encoder's original tokens.
    """
    return normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(ARABIC_MARKS), ""),
            normalizers.Replace(Regex(INVISIBLE), ""),
            normalizers.Replace(Regex(r"[\p{Cc}\p{Z}]+"), " "),
            normalizers.Strip(),
        ]
    )


def folded_normalizer() -> normalizers.Normalizer:
    """Return the normaliser of the embedded encoder: that of news, then one spelling for each of `SPELLINGS`."""
    folds = [normalizers.Replace(Regex(f"[{others}]"), read_as) for read_as, others in SPELLINGS.items()]
    return normalizers.Sequence([arabic_news_normalizer(), *folds])


def fold_spelling(text: str) -> str:
    """Return the text with one spelling for each of `SPELLINGS`."""
    return text.translate(FOLDS)


def unmarked_normalizer() -> normalizers.Normalizer:
    """Return a normaliser that drops vowel marks, tatweel and invisible controls, and nothing else."""
    return normalizers.Sequence(
        [normalizers.Replace(Regex(ARABIC_MARKS), ""), normalizers.Replace(Regex(INVISIBLE), "")]
    )


def arabert_normalizer(*, keep_emoji: bool = False) -> normalizers.Normalizer:
    """Return what AraBERT's published preprocessor does to a text, but for white space, which the words bring.

    It differs on purpose where the preprocessor loses letters: presentation forms and letters of neighbouring languages
    are folded, not deleted; marks and invisible controls vanish instead of parting a word. What is replaced (URL,
    e-mail, mention, HTML reference) has the offsets of its last character, a composed letter those of its base.
    """
    kept = KEPT + EMOJI if keep_emoji else KEPT
    foreign = "".join(NEIGHBOURS.values()) + "۰-۹٠-٩"
    early = kept + foreign + FORMS + ARABIC_MARKS[1:-1] + INVISIBLE[1:-1]
    steps = [
        *((reference_pattern(char), char) for char in REFERENCED),
        (r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[a-zA-Z][a-zA-Z0-9]{1,31};)", " "),
        (reference_pattern("&"), "&"),
        *((pattern, f" {URL_TOKEN} ") for pattern in URL_PATTERNS),
        *((pattern, f" {EMAIL_TOKEN} ") for pattern in EMAIL_PATTERNS),
        (f"@[{WORD}]+", f" {MENTION_TOKEN} "),
        (MARKUP, " "),
        (f"[^{early}]+", " "),
        (f"[{MARK_FORMS}]", ""),
        ("…", ELLIPSIS_KEPT),
        None,  # here compatibility forms are folded; only Arabic ones are left
        (ELLIPSIS_KEPT, "…"),
        (ARABIC_MARKS, ""),
        (INVISIBLE, ""),
        *((letter, arabic) for arabic, letters in NEIGHBOURS.items() for letter in letters),
        *((digits[value], str(value)) for digits in ("٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹") for value in range(10)),
        (f"[^{kept}]+", " "),
        (r"([^0-9 ])(?=\1\1)", ""),  # of a character repeated more than twice, two stay
        ("/", "-"),
    ]
    return normalizers.Sequence(
        [normalizers.Replace(Regex(step[0]), step[1]) if step else normalizers.NFKC() for step in steps]
    )


def reference_pattern(char: str) -> str:
    """Return the pattern of a character's HTML references, by name, decimal and hexadecimal."""
    names = sorted((name for name, value in html5.items() if value == char), key=len, reverse=True)
    numbers = (f"#0*{ord(char)}(?![0-9]);?", f"#[xX]0*(?i:{ord(char):x})(?![0-9a-fA-F]);?")
    return f"&(?:{'|'.join([*names, *numbers])})"


REFERENCED = [chr(code) for code in (*range(0x21, 0x26), *range(0x27, 0x30), *range(0x3A, 0x41), *range(0x5B, 0x61))]
REFERENCED += ["|", "~", "·", "—", "’", "“", "”", "»", "«", "–", "…", "‘", "،", "؛", "؟", "\xa0"]
REFERENCED += [chr(code) for code in (*range(0x621, 0x63B), *range(0x641, 0x64B))]


def arabert_pre_tokenizer(*, keep_emoji: bool = False) -> list[pre_tokenizers.PreTokenizer]:
    """Return the splits of AraBERT's published preprocessor, of which punctuation is left to the tokenizer's own.

    Letters part from digits where an Arabic letter meets a digit, and there the two runs part from all else: "في12" is
    two words, "F16" one, "F16من" three.
    """
    apart = APART + EMOJI if keep_emoji else APART
    patterns = (
        f"[{apart}]|(?<![0-9])[0-9]++[{ARABIC}]+",
        f"(?<![{ARABIC}])[{ARABIC}]++[0-9]+",
        f"(?<=[{ARABIC}])[0-9]+|(?<![0-9])[0-9]++(?=[{ARABIC}])",
    )
    return [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]


def with_arabert_normalization(tokenizer: Tokenizer, *, keep_emoji: bool = False) -> Tokenizer:
    """Return a copy of an AraBERT v02 tokenizer that takes raw text: the preprocessing is inside.

    `keep_emoji` is for the checkpoints that were trained on tweets. A tokenizer that has the preprocessing is copied
    as it is. Raises ValueError for a vocabulary that is not AraBERT's, or needs Farasa segmentation.
    """
    vocabulary = tokenizer.get_vocab()
    if missing := [token for token in ARABERT_TOKENS if token not in vocabulary]:
        raise ValueError(f"no AraBERT v02 tokenizer: its vocabulary has no {' '.join(missing)}")
    if any(piece in vocabulary for piece in FARASA_PIECES):
        raise ValueError(
            "the vocabulary has Farasa's pieces: such a checkpoint needs segmented text; use its sibling without "
            "segmentation, aubmindlab/bert-base-arabertv02 or aubmindlab/bert-large-arabertv02"
        )
    layout = json.loads(tokenizer.to_str())
    splits = [_state(split) for split in arabert_pre_tokenizer(keep_emoji=keep_emoji)]
    layout = _prepended(layout, "normalizer", "normalizers", [_state(arabert_normalizer(keep_emoji=keep_emoji))])
    layout = _prepended(layout, "pre_tokenizer", "pretokenizers", splits)
    others = [token for token in layout["added_tokens"] if token["content"] not in ARABERT_TOKENS]
    own = [_added_token(vocabulary[token], token) for token in ARABERT_TOKENS]
    layout["added_tokens"] = sorted([*others, *own], key=lambda token: token["id"])
    return Tokenizer.from_str(json.dumps(layout))


def with_normalizer(tokenizer: Tokenizer, normalizer: normalizers.Normalizer) -> Tokenizer:
    """Return a copy of the tokenizer that applies the normaliser before its own; one that has it is copied as it is."""
    layout = _prepended(json.loads(tokenizer.to_str()), "normalizer", "normalizers", [_state(normalizer)])
    return Tokenizer.from_str(json.dumps(layout))


def _prepended(layout: dict[str, Any], part: str, members: str, first: list[Any]) -> dict[str, Any]:
    """Return the layout of a tokenizer whose normaliser or pre-tokenizer begins with the given ones."""
    present = layout[part]
    own = present[members] if present and present["type"] == "Sequence" else [present] if present else []
    if own[: len(first)] == first:
        return layout
    return layout | {part: {"type": "Sequence", members: [*first, *own]}}


def _state(component: normalizers.Normalizer | pre_tokenizers.PreTokenizer) -> Any:
    return json.loads(component.__getstate__())


def _added_token(number: int, content: str) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "special": False}
    return {"id": number, "content": content, **plain, "normalized": True}
