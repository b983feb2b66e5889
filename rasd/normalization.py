"""Arabic normalisation as `tokenizers` normalizers, so that it lives inside `tokenizer.json`.

Whoever loads the tokenizer, in any runtime, gets it with the tokenizer: raw text goes in, and the token offsets point
into that raw text. Nothing has to be remembered at inference time.
"""

from tokenizers import Regex, normalizers

# Harakat, tanwin, shadda, superscript alef, Quranic annotation signs, tatweel.
ARABIC_MARKS = "[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]"
# Zero-width characters, bidi marks, embeddings, overrides and isolates, soft hyphen, byte order mark.
INVISIBLE = "[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"


def arabic_news_normalizer() -> normalizers.Normalizer:
    """Return the normaliser of the embedded encoder: unmarked, visible, NFKC, single-spaced text.

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
