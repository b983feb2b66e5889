"""Words of Arabic text as the actor lexicon compares them: spelling habits unified, proclitics set apart."""

import re
from collections.abc import Iterator

from rasd.normalization import FOLDS

WORD = re.compile(r"(?:[^\W_]|[\u064b-\u065f\u0670\u200c\u200d])+")
IGNORED = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200b-\u200f]")
LETTERS = FOLDS | str.maketrans("ؤئیکگ", "وييكك")  # those of the encoder's tokenizer, and some that a name may have
MILITIA = re.compile("^(ال)?م[ي]?ليشي(?:ا|ات|اوي|اوات)$")
# One or two proclitics; what is left must be a word of the alias.
PROCLITICS = ("و", "ف", "ب", "ل", "ك", "وب", "ول", "وك", "فب", "فل", "فك")
NEVER_SPLIT = frozenset({"بحماس"})  # "with enthusiasm", hardly ever "by Hamas"


def fold_word(word: str) -> str:
    """Return the word with marks dropped and spelling habits unified."""
    folded = IGNORED.sub("", word).translate(LETTERS)
    folded = MILITIA.sub(lambda m: (m[1] or "") + "ميليشيا", folded)
    return folded[:-2] + "ين" if folded.endswith("ون") and len(folded) > 4 else folded


def without_proclitics(raw: str) -> Iterator[tuple[str, int]]:
    """Yield the folded word as it is, then without its possible proclitics, each with the number of letters cut off.

    للجيش also yields الجيش with nothing cut: the article's alef is not written there, so the word stays whole.
    """
    letters = IGNORED.sub("", raw)
    yield fold_word(letters), 0
    for clitic in PROCLITICS:
        rest = letters[len(clitic) :]
        if letters.startswith(clitic) and len(rest) >= 3 and letters not in NEVER_SPLIT:
            yield fold_word(rest), len(clitic)
            if clitic.endswith("ل") and rest.startswith("ل"):
                yield fold_word("ا" + rest), len(clitic) - 1


def offset_of_letter(raw: str, number: int) -> int:
    """Return the offset of the letter of that number (from 0) in a word that may hold vowel marks."""
    return [at for at, char in enumerate(raw) if not IGNORED.match(char)][number]
