"""Near-duplicates: spans that share many 5-grams of characters after normalisation, and openings used too often."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from rasd.words import WORD, fold_word

NGRAM = 5
MAX_SIMILARITY = 0.4
OPENING_WORDS = 3
MAX_OPENINGS = 6
BLOCK = 512
PADDING = "·"  # of texts shorter than one n-gram; folding leaves none


def folded(text: str) -> str:
    """Return the words of a text without diacritics, tatweel, punctuation and spelling variants."""
    return " ".join(fold_word(match.group()) for match in WORD.finditer(text))


def near_duplicates(texts: Sequence[str], threshold: float = MAX_SIMILARITY) -> Iterator[tuple[int, int, float]]:
    """Yield the pairs of texts whose Jaccard similarity of character 5-grams is above the threshold.

    Every pair is compared, none is missed by sampling: a sparse product gives the sizes of all intersections.
    """
    plain = [text if len(text) >= NGRAM else text.ljust(NGRAM, PADDING) for text in map(folded, texts)]
    if len(plain) < 2:
        return
    vectorizer = CountVectorizer(analyzer="char", ngram_range=(NGRAM, NGRAM), binary=True, lowercase=False)
    grams = vectorizer.fit_transform(plain).astype(np.int32)
    sizes = np.asarray(grams.sum(axis=1)).ravel()
    for begin in range(0, len(plain), BLOCK):
        shared = (grams[begin : begin + BLOCK] @ grams.T).toarray()
        union = sizes[begin : begin + BLOCK, None] + sizes[None, :] - shared
        similarity = shared / union
        for row, column in zip(*np.nonzero(similarity > threshold), strict=True):
            if begin + row < column:
                yield begin + int(row), int(column), float(similarity[row, column])


def frequent_openings(texts: Sequence[str], limit: int = MAX_OPENINGS) -> dict[str, int]:
    """Return the first three words that more than `limit` texts share, with their number."""
    openings = Counter(" ".join(folded(text).split()[:OPENING_WORDS]) for text in texts)
    return {opening: count for opening, count in openings.most_common() if count > limit}
