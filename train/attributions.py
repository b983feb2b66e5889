"""Word lists of the variants: who is quoted and how, which names speak for themselves, which words speak beside them.

Speakers, phrases and aliases are each split in two by a hash of their text: the probes use one half and training
augmentation the other, so that a probe measures what was learnt and not what was memorised.
"""

import hashlib
import random
import re
from typing import Literal

from rasd.actors import Alias
from train.baselines import HOSTILE_NAME, SUPPORTIVE_NAME, strip_marks

Use = Literal["probe", "training"]

# All masculine singular, as the verbs of the phrases are; none is an actor of the lexicon.
SPEAKERS = (
    "ناشط محلي", "شاهد عيان", "أحد سكان البلدة", "طبيب في المشفى الميداني", "وجيه عشائري", "معلم متقاعد",
    "سائق شاحنة", "محلل عسكري", "باحث في الشؤون الأمنية", "مصدر ميداني", "مصدر محلي", "ناطق عسكري",
    "عضو في المجلس البلدي", "خطيب الجمعة في البلدة", "نائب سابق", "ضابط متقاعد", "صاحب متجر في السوق",
    "نازح من المنطقة", "مزارع من القرى المجاورة", "كاتب عمود", "مسؤول محلي طلب عدم ذكر اسمه", "قائد ميداني",
    "مختار الحي", "متطوع في الإسعاف", "معلّق تلفزيوني", "دبلوماسي سابق", "طالب جامعي", "عامل إغاثة",
    "محامٍ من المدينة", "شيخ قبيلة", "موظف في البلدية", "مصور صحفي", "سياسي مستقل", "مدوّن معروف",
)  # fmt: skip
BEFORE = (
    "قال {}: ", "وقال {}: ", "كتب {} على صفحته: ", "أكد {} في اتصال هاتفي: ", "ذكر {} مساء أمس: ",
    "روى {} ما يعرفه قائلاً: ", "ونقلت إذاعة محلية عن {} قوله: ", "جاء في رسالة صوتية بثّها {}: ",
    "صرّح {} لوكالة محلية: ", "ردّ {} على سؤال عمّا جرى: ", "أجاب {}: ", "علّق {} بالقول: ", "أفاد {} بما يلي: ",
    "وفي مقابلة إذاعية قال {}: ", "نشر {} تعليقاً جاء فيه: ", "ويقول {}: ",
)  # fmt: skip
AFTER = (
    "، بحسب {}.", "، قال {}.", "، كما روى {}.", "، هذا ما ذكره {}.", "، على ما أفاد {}.", "، وفق {}.",
    "، بهذه الكلمات تحدث {} عمّا جرى.", "، نقلاً عن {}.", "، كتب {} على صفحته.", "، يقول {}.", "، بحسب رواية {}.",
    "، على حد قول {}.", "، هكذا تحدث {}.", "، وفق ما نقله {}.",
)  # fmt: skip

# "Militia" and "rebels" are weak cues: hostile only before an army or a state (annotation guide, point 12).
WEAK = re.compile(r"م[ي]?ليشي\w*|متمرد\w*")
STATE_FORCES = frozenset({"syr_regime", "syr_transitional", "saf", "israel", "turkey", "russia", "yem_gov"})
CLEAR_HOSTILE = re.compile(f"{HOSTILE_NAME}|الشيطان|الطائفي")
CLEAR_SUPPORTIVE = re.compile(f"{SUPPORTIVE_NAME}|الصديق|[أا]شقاء|[أا]صدقاء|الحليف")

# A name is replaced by a name of the same kind, so that a government does not fly sorties.
KINDS = {
    "none": r"العدوان|الغزو|عملي[ةه]|سيد |(?:ال)?دول[ةه]|ولاي[ةه]|[أا]?ذراع|[أا]ذرع|جيش واحد|مجرم|تل [أا]بيب|قنديل"
    r"|(?:حفتر|الجولاني|الحوثي)$",
    "office": r"(?:ال)?(?:حكوم|سلط|وزار|[إا]دار[ةه]|مجلس|نظام|هيئ[ةه] الحشد)",
    "arm": r"(?:ال)?(?:طيران|طائرات|مقاتلات|مدفعي|مسي|سلاح|نقاط|مركز|شرط|مستشار|قو[ةه] الص|فرق[ةه]|نسور|صقور)",
}
PEOPLE = (  # plurals that take a verb of either gender, and names used with both
    r"(?:ال)?(?:[أا]بطال|بواسل|مرتزق|شبيح|رجال|نسور|صقور|فلول|[أا]ذناب|ثوار|[أا]شاوس|فرسان|حما[ةه]|كلاب|خوارج"
    r"|غزا[ةه]|[أا]شقاء|[أا]صدقاء|دواعش|جنجويد|عناصر|داعش)"
)
FEMININE = r"\S+(?:[ةهاى]|ات)(?:\s|$)|فصائل|كتائب|سرايا|[أا]لوي[ةه]|عصائب|قسد|حماس|[إا]سرائيل"
# An ending that shows the case: of the first word any, of others the nominative.
CASED = re.compile(r"^(?!العدو(?:\s|$))\S+(?:و|ين|ينا|ؤنا|ئنا)(?:\s|$)|\S(?:ون|ونا)(?:\s|$)")

# Words that may carry a stance by themselves: where one stands outside the names, no name decides alone.
CUES = re.compile(
    f"{HOSTILE_NAME}|{SUPPORTIVE_NAME}"
    r"|مجزر|مجازر|جريم|جرائم|ارتكب|وحشي|همجي|غاشم|السافر|الغادر|غدر|[إا]جرام|بربري|دموي|بشع|حقد|حاقد|غطرس|جبان|ذليل"
    r"|شهيد|استشهد|[إا]رتقا|ارتقى|هلك|هلاك|نفوق|نفق |جيف|حرر|تحرير|طهر(?!ان)|تطهير|دحر|دحور|دنس|تدنيس|رجس|كنس|ذعر|وقاح"
    r"|بطول|صمود|صامد|شجاع|مظف|نصر |النصر|انتصار|شهام|شرفاء|بشرف|فخر|وفاء|تضحي|تكبير|[إا]خوان|بحمد|بفضل|\bلله"
    r"|[إا]ذن الله|عون الله|مزعوم|مزاعم|ما يسم|زعم|تزعم|يزعم|ادع[اتى]|بدعوى|ذريع|كذب|كاذيب|تضليل|[أا]بواق|معهود|كعاد"
    r"|كدأب|واهم|وهام|برود|خيان|خون[ةه]|خائن|عدوان|غزو|اعتداء|انتهاك|قمع|ظلم|طغيان|طاغي|تنكيل|بطش|سفك|خسيس|مهزوم|هزيم|باسل"
    r"|[أا]شداء|كرام[ةه]|العز[ةه]|نهب|سرق|لصوص|تجويع|ترويع|م[أا]جور|عميل|فضيح|مهزل|خائب|خزي|دروع|متاريس|رحم[ةه]|[أا]هلنا"
    r"|شعبنا|وطننا|[أا]رضنا|[!؟?]"
)
# Reported speech.
SPEECH = re.compile(
    r"قال|قول|[أا]علن|[أا]كد|تأكيد|نف[ىت]|نفي|صرح|[أا]فاد|ذكر|حسب|وفق|مصدر|مصادر|ناطق|متحدث|بيان|وصف|[أا]شار|[أا]وضح|[أا]ضاف"
)
# The outlet speaks of itself, or a source is named already: no second speaker around it.
SOURCED = re.compile(
    r"قال|قول|حسب|وفق|نقلا|على حد|مراسل|موفد|صحيفتنا|للصحيفة|جريدتنا|قناتنا|وكالتنا|سألنا|لنا |[@#:]|http"
)


def is_for(text: str, use: Use) -> bool:
    """Say whether a speaker, a phrase or an alias belongs to the half for that use."""
    return hashlib.sha256(text.encode()).digest()[0] % 2 == (use == "probe")


def draw_attribution(rng: random.Random, use: Use) -> tuple[str, str]:
    """Return what stands before and after a quotation; one of the two is empty."""
    speaker = rng.choice([text for text in SPEAKERS if is_for(text, use)])
    phrase = rng.choice([text for text in BEFORE + AFTER if is_for(text, use)]).format(speaker)
    return ("", phrase) if phrase.startswith("،") else (phrase, "")


def is_clear(alias: Alias) -> bool:
    """Say whether the name alone carries its usual stance by the guide: no weak cue, no plain name taken for loaded."""
    name = strip_marks(alias.text)
    militia = alias.actor in STATE_FORCES and WEAK.search(name) is not None
    hostile = militia or CLEAR_HOSTILE.search(WEAK.sub("", name)) is not None
    supportive = CLEAR_SUPPORTIVE.search(name) is not None
    if alias.usual_stance == "neutral":
        return not hostile and not supportive and not WEAK.search(name)
    return hostile if alias.usual_stance == "hostile" else supportive and not hostile


def is_alike(new: str, old: str) -> bool:
    """Say whether two names are of the same kind of body, so that one can do what the other did."""
    return _kind(new) == _kind(old) != "none"


def agrees(new: str, old: str) -> bool:
    """Say whether a name takes the gender of verb that stands with the other."""
    return _gender(new) in ("either", _gender(old))


def is_loaded(surface: str) -> bool:
    """Say whether a name holds a word of contempt or honour, a weak one included."""
    name = strip_marks(surface)
    return any(pattern.search(name) for pattern in (CLEAR_HOSTILE, CLEAR_SUPPORTIVE, WEAK))


def _kind(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.match(pattern, strip_marks(name))), "force")


def _gender(name: str) -> str:
    name = strip_marks(name)
    return "either" if re.match(PEOPLE, name) else "feminine" if re.match(FEMININE, name) else "masculine"
