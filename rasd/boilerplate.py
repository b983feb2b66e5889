"""Which lines of an article page are no news: counters, buttons, notices, lists of other articles.

Every pattern covers the whole line, so that a sentence that begins like a button ("شارك الطيران في القصف") stays.
"""

import re

MAX_LENGTH = 200  # characters; longer lines are never boilerplate

SITES = (
    r"(?:فيس\s?بوك|تويتر|تلي?[غج]رام|واتس\s?[أا]ب|انستغرام|يوتيوب|غوغل|صفحتنا|قناتنا|حساباتنا|موقعنا"
    r"|النشر[ةه]\s+البريدي[ةه])"
)
COUNTED = r"(?:تعليق(?:ات)?|مشاهد(?:ات|ة|ه)|زيار(?:ات|ة|ه)|قراء(?:ات|ة|ه))"
PAGE = r"(?:الخبر|المقال|الصفح[ةه])"
AGENCIES = r"(?:وكالات|وكال[ةه]\s+\S+|متابعات|خاص|رويترز|[أا]\W?ف\W?ب|د\W?ب\W?[أا]|فرانس\s+برس|الجزير[ةه]|الأناضول)"
PATTERNS = (
    rf"(?:عدد\s+)?(?:ال)?{COUNTED}(?:\s*[:(\[]?\s*[\d٠-٩.,٬]+)?",
    rf"(?:[\d٠-٩.,٬]+|لا\s+توجد|لا\s+يوجد)\s+{COUNTED}",
    r"(?:[أا]ضف|اكتب|[اأ]ترك)\s+(?:تعليق\w*|رد\w*)\W*",
    rf"حجم\s+الخط|نسخ\s+الرابط|تغريد|طباع[ةه](?:\s+{PAGE})?|[إا]رسال\s+(?:إلى|لـ?)\s*صديق",
    rf"(?:مشارك[ةه]|شارك(?:ها|نا|ه)?)(?:\s+{PAGE})?(?:\s+(?:على|عبر))?(?:\W+{SITES})*",
    rf"{SITES}(?:\W+{SITES})*",
    rf"(?:تابعنا|تابعونا|للاشتراك|اشترك(?:وا)?|انضم(?:وا)?)\s+(?:(?:على|في|عبر|إلى|الى)\s+)?ب?{SITES}.{{0,60}}",
    r"(?:جميع\s+الحقوق|حقوق\s+(?:النشر|الطبع))\s+محفوظ.{0,80}",
    r"الرئيسي[ةه]|القائم[ةه]\s+الرئيسي[ةه]|تسجيل\s+الدخول|كلم[ةه]\s+السر|[اإ]سم\s+المستخدم",
    r"(?:اقر[أا]|شاهد)\s+(?:[أا]يض[اًا]+|المزيد)\s*:.{0,150}",
    rf"المصدر\s*:\s*{AGENCIES}(?:\W+{AGENCIES})*",
)
BOILERPLATE = re.compile(rf"\W*(?:{'|'.join(PATTERNS)})\W*")

# The header of a list of other articles, and how many lines below it belong to it at most.
PERIOD = r"(?:\s+(?:اليوم|الآن|هذا الأسبوع|خلال أسبوع))?"
RELATED_HEADERS = (
    (re.compile(rf"\W*ال[أا]كثر (?:قراء[ةه]|مشاهد[ةه]|تداولا|شعبي[ةه]){PERIOD}\W*"), 20),
    (re.compile(r"\W*(?:مواضيع|[أا]خبار|مقالات) (?:ذات صل[ةه]|متعلق[ةه]|مشابه[ةه])\W*"), 5),
    (re.compile(r"\W*(?:[اإ]قر[أا](?:وا)?|شاهد(?:وا)?) [أا]يض[ااً]+\W*"), 3),
)


def is_boilerplate(line: str) -> bool:
    """Say whether a line of a page is no part of the article."""
    return len(line) <= MAX_LENGTH and BOILERPLATE.fullmatch(line) is not None


def related_lines(line: str) -> int | None:
    """Return how many lines at most follow in the list of articles that this line heads; None if it heads none."""
    return next((length for pattern, length in RELATED_HEADERS if pattern.fullmatch(line)), None)
