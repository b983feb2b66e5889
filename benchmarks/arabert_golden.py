"""Write tests/golden/arabert.jsonl: our own strings with what the published preprocessor makes of them.

Usage: `python benchmarks/arabert_golden.py`; the environment that it needs is told in published_arabert.py.

A row is `model`, `raw`, `published` and, where our tokens differ on purpose, `reason` and `intended`: the name of the
fix, and the published preprocessor's output for the text that the fix repairs. No output of ours is written.
"""

import json
from collections.abc import Iterable, Iterator
from html import unescape
from pathlib import Path
from string import digits
from unicodedata import normalize

from rich.console import Console
from tokenizers import Tokenizer

from benchmarks.published_arabert import MODEL, SPECIAL_TOKENS, bert_tokenizer, explain, published_preprocessor
from rasd.normalization import ARABERT_TOKENS, NEIGHBOURS, with_arabert_normalization

GOLDEN = Path("tests/golden/arabert.jsonl")
TWITTER = "bert-base-arabertv02-twitter"
STRINGS = r'''
قصفت الطائرات أطراف البلدة فجر اليوم
شَنَّتِ القُوّاتُ هُجُوماً عَلَى المَحْوَرِ
الجيــــش العـربـي
اَلْـ ـحَيُّ
مُقَدِّمًا
ـ
سيطرت الفصائل على 12 نقطة
في12موقعاً و15عنصراً
12كلم34كلم
كلم12كلم2
12كم
كم12
F16 وF-16 وطائرة F16من طراز
بـ5G وشبكة4G
b12كلمc34d
bكلم12
12كلمb
كلم12b
12كلم34b
1,500 و2.5 و3/4 و50% و50٪
١٢ أيار ٢٠١٦ الساعة ٠٣:٤٥
عام٢٠١٦م
٣٫٥ ملايين و١٬٢٠٠
2016-05-02 و02/05/2016
+963 11 222 333
موقعAlmayadeenالعربي
قال Reuters إن CNN نقلت عن BBC
H1N1 وCOVID-19
زوروا https://example.org/news/2016?id=5&lang=ar للمزيد
زوروا http://example.org
http://localhost/خبر عاجل
https://example.org/خبر/عاجل
www.example.org/path_1 للتفاصيل
wwwموقع
موقعwww.example.orgهنا
example.com وexample.net
اكتبexample.comهنا
ftp://files.example.org/a.zip
http://
http://خبر.شبكة
المصدر://
bit.ly/2xYzAbC
(https://example.org/a_(b))
«http://example.org/»،
رابط:http://t.co/AbC123.
example.COM
a.b
v1.2.3
file.txt
راسلونا على news@example.org
راسلونا على news@localhost اليوم
مراسل@شبكة.عربية
(بريد@موقع)
@
@ وحدها
user@ وحيد
@user_name قال
قال @مراسل_الشبكة إن
شكرا@user1
@user @user2 @user3
#وسم #إدلب_تحترق
#syria و@syria وsyria@
[رابط] و[بريد] و[مستخدم]
[رابط و رابط]
ا[رابط]ب
[UNK] [MASK]
<p>قال المتحدث</p>
السطر الأول<br />السطر الثاني<br>الثالث<br/>
<a href="http://example.org/x">الخبر</a>
5 < 7 و 9 > 3
<b>عاجل</b>: قصف <i class='x'>عنيف</i>
<<عاجل>>
<>
عاجل < بلا نهاية
<!-- تعليق -->نص
قال &quot;نعم&quot; ثم &laquo;لا&raquo;
أ&nbsp;ب&amp;ج &lt;نص&gt;
&#1602;&#1575;&#1604; و&#x642;&#x627;&#x644;
&amp;quot;
&hellip; &ndash; &mdash; &lsquo;x&rsquo; &ldquo;y&rdquo;
&eacute;t&eacute; وباريس
AT&T و R&D
&#39;اقتباس&#39; و&#039;ثان&#039;
&copy; 2016 &reg;
عاجل 🚨 قصف 🙂🙂🙂
كلمة🙂كلمة
👨‍👩‍👧 عائلة 🇸🇾 علم
❤️ قلب ☪ ✌🏽
ههههههههه
رااااائع جداااا
لااا
!!!!!! ؟؟؟؟ ،،،،
... … …… ………
-----
====
اااا 1111 ٢٢٢٢
لللللله
aaaa bbbb
/ // ///
أخبار/عاجل
إما\أو
ﺍﻟﺠﻴﺶ ﺍﻟﻌﺮﺑﻲ
ﻻ إله
ﷲ أكبر
قال ﷺ
ﹰ ﹱ ﹶ ﹷ
ريال ﷼
ﭖﺎﺭﻳﺲ
الایرانی
کتائب
پاریس وچاد وژینا وگوگل
ڤيتو
ھذا ہو ە
ڭ ۃ ے ۀ
۱۲ و۳۴
قال‏:‏ نعم
كلمة‏كلمة
می‌شود
نص‍نص
‪اقتباس‬ و⁦عزل⁩
﻿بداية
كل­مة
هٰذا الرحمٰن
ٱلله ٱلرحمن
آمنوا ۚ ذلك ۖ خير
الآن أولئك
مُؤْمِن ئ
(نص) [نص] {نص} «نص» “نص” ‘نص’ "نص" 'نص'
نص(نص)نص
— – - ـ ‐ −
• نقطة · وسط ● أخرى
نص٪ ٪50 50٪
§ © ® ™ ° ± × ÷
$100 €50 £20 ¥5
م² م³ ½ كم²
№ ℃ Ａ１
Ünïcödé façade
Привет 你好 こんにちは
नमस्ते שלום
نص	مجدول
نص نص نص　نص
س_ص و a_b
~!@#$%^&*()_+`-={}|[]\:";'<>?,./
،؛؟
د. أحمد و أ.ف.ب
"قال: ""نعم"""
قال:"نعم".ثم
عربيEnglishعربي
abcأبج123
٭ نجمة ۞ ربع
ؤئءأإآىة
ا ب ت
يُعدّ «اتفاق الزعتري» -الموقع في 3/7/2018- الأهم
الإصابات: 15(9 مدنيين)و6 عسكريين
ـ قال المصدر ـ
'''
CONTROLS = (
    "سطر\nوآخر\r\nوثالث",
    "صفر\x00 وجرس\x07 وفاصل\x1cآخر",
    "خط\u2028جديد\u2029وفقرة\u0085هنا",
    "بديل\ufffd وخاص\ue000 هنا",
    " ",
    "ا\u0653لآن و\u0654 ي\u0654",
    "\u200f\u200e",
    "موقع\u200f.\u200f",
    "س" * 120,
    "س" * 99 + "ص",
    "سص" * 60,
    "http://example.org/" + "a" * 300,
    "a" * 40 + ".com",
    "&#8207;نص&rlm;نص&zwnj;نص",
    "http://example.org/?a=1&copy=2",
    "&شيء; &foo; &bar",
)
TWEETS = (
    "كلمة🙂كلمة",
    "عاجل 🚨🚨🚨 قصف",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 عائلة",
    "🇸🇾 علم",
    "❤️ قلب ✌🏽",
    "@user شكرا 😂😂 https://t.co/x",
    "٣ ورود 🌹x3",
)


def pieces(texts: Iterable[str]) -> list[str]:
    """Return a vocabulary of every character of the texts, decoded or folded, so that no difference is hidden."""
    forms = (form for text in texts for form in (text, unescape(text), normalize("NFKC", unescape(text))))
    characters = sorted({*"".join(forms), *"".join(NEIGHBOURS), *digits})
    return [prefix + character for character in characters for prefix in ("", "##")]


def golden_rows(model: str, texts: tuple[str, ...], plain: Tokenizer) -> Iterator[dict[str, str]]:
    """Yield a row for each text; stop at one whose difference no named fix explains."""
    preprocess = published_preprocessor(model)
    wrapped = with_arabert_normalization(plain, keep_emoji=model == TWITTER)
    for raw in texts:
        row = {"model": model, "raw": raw, "published": preprocess(raw)}
        ours = wrapped.encode(raw).tokens
        if ours != plain.encode(row["published"]).tokens:
            explained = explain(raw, ours, lambda text: plain.encode(preprocess(text)).tokens)
            if explained is None:
                raise SystemExit(f"{model}, {raw!r}: differs without a named reason; {GOLDEN} is unchanged")
            row |= {"reason": explained[0], "intended": preprocess(explained[1])}
        yield row


def main() -> None:
    """Write the golden file, or nothing."""
    strings = (*STRINGS.strip("\n").split("\n"), *CONTROLS)
    vocabulary = [*SPECIAL_TOKENS, *ARABERT_TOKENS, *pieces([*strings, *TWEETS])]
    plain = bert_tokenizer({piece: number for number, piece in enumerate(vocabulary)})
    rows = [*golden_rows(MODEL, strings, plain), *golden_rows(TWITTER, TWEETS, plain)]
    GOLDEN.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    Console().print(f"{GOLDEN}: {len(rows)} rows, {sum('reason' in row for row in rows)} differ on purpose")


if __name__ == "__main__":
    main()
