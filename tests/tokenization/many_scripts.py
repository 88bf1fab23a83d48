"""Ten thousand lines of many scripts, the same on every machine, made of ranges and our own sentences.

Only `random.Random.random` is used, whose stream Python promises to keep.
"""

import random
from collections.abc import Callable

NUM_LINES = 10_000

SENTENCES = (
    "The harbour master counted the boats twice, and twice he was one short.",
    "Don't say it's over: they'll've been here by 9:30 p.m., won't they?",
    "Der Bäcker öffnet früh, weil die Straßenbahn schon um fünf fährt.",
    "L'été où l'on mangeait des cerises, Noël semblait bien loin, n'est-ce pas ?",
    "¿Quién dejó la llave bajo el felpudo mojado? ¡Nadie lo sabe!",
    "O pão da manhã cheirava a lenha, a sal e a chuva de março.",
    "Il nonno riparò l'orologio: batteva le ore, però sempre in ritardo.",
    "Zażółć gęślą jaźń, powiedziała sąsiadka i zamknęła okno.",
    "Příliš mnoho sněhu leželo na střeše staré stodoly.",
    "A macska átugrott a kerítésen, és eltűnt a ködös kertben.",
    "Marea era liniștită, iar pescarii își reparau încet plasele.",
    "Kahvi jäähtyi, kun kuuntelimme yöllistä ukkosta järven yllä.",
    "Fjorden frøs til i natt; båten ligger fast mellom isflakene.",
    "Þorpið svaf, en ljós logaði ennþá í glugga læknisins.",
    "Çaydanlık ıslık çaldı, İstanbul'da yağmur hâlâ sürüyordu.",
    "Bà cụ bán phở ở đầu ngõ kể chuyện cũ cho lũ trẻ nghe.",
    "Поезд опоздал на сорок минут, и чай успел остыть.",
    "Увечері їжак прийшов до саду й з'їв усі яблука.",
    "Вечерта селото миришеше на печени чушки и дим.",
    "Ο παππούς μέτρησε τα κύματα ώσπου νύχτωσε.",
    "סבתא שלחה מכתב ארוך, אבל הדוור איבד אותו בדרך.",
    "وصلت القافلة قبل الفجر، وكان البئر قد جفّ تمامًا.",
    "باغبان هر صبح پیش از آفتاب گل‌ها را آب می‌داد.",
    "چائے ٹھنڈی ہو گئی مگر بات ختم نہ ہوئی۔",
    "नदी के किनारे बैठा लड़का पत्थर गिन रहा था।",
    "নৌকাটা ঘাটে বাঁধা ছিল, মাঝি ঘুমিয়ে পড়েছিল।",
    "ਖੇਤ ਵਿੱਚ ਸਵੇਰੇ ਧੁੰਦ ਸੀ ਤੇ ਪੰਛੀ ਚੁੱਪ ਸਨ।",
    "દાદીએ દીવો કર્યો અને વાર્તા શરૂ થઈ.",
    "மழை நின்றதும் குழந்தைகள் தெருவில் ஓடினார்கள்.",
    "రైలు ఆలస్యంగా వచ్చింది, స్టేషన్ ఖాళీగా ఉంది.",
    "ಬೆಟ್ಟದ ಮೇಲೆ ಹಳೆಯ ಗಂಟೆ ಮೆಲ್ಲಗೆ ಬಾರಿಸಿತು.",
    "പുഴയിൽ തോണി പതുക്കെ നീങ്ങി, കാറ്റ് നിലച്ചിരുന്നു.",
    "වැස්ස නතර වූ විට ළමයි ගෙදර ගියහ.",
    "แม่ค้าเก็บร้านก่อนฝนตก แล้วเดินกลับบ้านช้าๆ",
    "ຕອນເຊົ້າມີໝອກໜາຢູ່ແຄມນ້ຳຂອງ",
    "မိုးရွာပြီးနောက် လမ်းများ စိုစွတ်နေသည်။",
    "ព្រះអាទិត្យរះលើវាលស្រែដ៏ស្ងប់ស្ងាត់",
    "བོད་ཀྱི་གངས་རི་མཐོན་པོ་ཡིན།",
    "ძველ ხიდზე კატა იჯდა და მდინარეს უყურებდა.",
    "Ծերունին ամեն երեկո նույն երգն էր երգում։",
    "ጠዋት ላይ ቡና ተፈላ፤ ጎረቤቶችም መጡ።",
    "雨がやんだので、猫は縁側から庭へ飛び降りた。",
    "カタカナのメニューには「コーヒー」と「トースト」しかなかった。",
    "老船长数了三遍,还是少了一艘船。",
    "老船長把舊地圖摺好,放進抽屜裡。",
    "할머니는 밤새 눈이 온 마당을 조용히 쓸었다.",
    "Өвөө морьдоо тоолоод инээмсэглэв.",
    "Ẹ káàárọ̀, ọjà ti ṣí, òjò sì ti dá.",
    "Mzee alipanda mti kando ya kisima cha kijiji.",
)

CODE = (
    "def attend(q, k, v):\n    return softmax(q @ k.T / d**0.5) @ v\n",
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }  // O(n)",
    "SELECT name, COUNT(*) FROM runs WHERE score >= 0.75 GROUP BY name;",
    '{"id": 17, "tags": ["a", "b"], "nested": {"x": null, "y": -1.5e-7}}',
    "<html>\n\t<body class='x'>&nbsp;<table><tr><td>1</td></tr></table></body>\n</html>",
    "https://example.org/a/b.html?q=caf%C3%A9&lang=de#part-2",
    "x\u2080 = \u222b f(t) dt \u2264 \u2211 a\u1d62\u00b2 \u2208 \u211d, \u2200 \u03b5 > 0",
    "$ git log --oneline | head -n 5 && echo done >> out.txt",
)

# First and last code point of each, in hexadecimal.
_RANGES_TEXT = """
20-7E A0-FF 100-24F 250-2FF 300-36F 370-3FF 400-52F 531-58F 591-5F4 600-6FF 700-74F 780-7BF 900-97F
980-9FF A00-A7F A80-AFF B00-B7F B80-BFF C00-C7F C80-CFF D00-D7F D80-DFF E00-E7F E80-EFF F00-FFF
1000-109F 10A0-10FF 1100-11FF 1200-137F 13A0-13FF 1400-167F 16A0-16FF 1780-17FF 1800-18AF 1E00-1EFF
1F00-1FFF 2000-206F 2070-20CF 2100-214F 2190-23FF 2500-27BF 2800-28FF 2C00-2DFF 2E80-2FDF 3000-303F
3040-309F 30A0-30FF 3100-318F 3400-4DBF 4E00-9FFF A000-A4CF A500-A63F AC00-D7A3 E000-F8FF F900-FAFF
FB00-FDFF FE00-FFFD 10000-1007F 10330-1034F 10400-1044F 12000-123FF 13000-1342F 1D400-1D7FF
1F000-1F0FF 1F300-1F64F 1F680-1FAFF 20000-2A6DF E0000-E007F 100000-10FFFD 1-1F 7F-9F
"""
RANGES = [
    (int(first, 16), int(last, 16))
    for first, _, last in (entry.partition("-") for entry in _RANGES_TEXT.split())
]

EMOJI = ("👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇵🇹", "❤️", "1️⃣", "🧑🏿‍🚀", "😂😂😂", "é", "नि", "각")
CONTROL_TEXTS = (
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<start_of_turn>user",
    "<end_of_turn>",
    "<unused17>",
    "<0x0A>",
)
WHOLE_TEXTS = ("<table>", "</td>", "<h1>", "<strong>", "[multimodal]", "\n\n", "    ", "\t\t", "▁", "▁▁▁")


def lines() -> list[str]:
    draw = random.Random(20_270)
    makers = (_sentence, _mixed_words, _one_range, _many_ranges, _runs, _code, _numbers, _marked_up)
    return [makers[number % len(makers)](draw) for number in range(NUM_LINES)]


def _below(draw: random.Random, limit: int) -> int:
    return int(draw.random() * limit)


def _pick(draw: random.Random, among: tuple[str, ...]) -> str:
    return among[_below(draw, len(among))]


def _sentence(draw: random.Random) -> str:
    text = " ".join(_pick(draw, SENTENCES) for _ in range(1 + _below(draw, 3)))
    change: Callable[[str], str] = (str, str.upper, str.lower, str.title)[_below(draw, 4)]
    start = _below(draw, len(text))
    # str.upper follows Python's Unicode tables, which grow: only ASCII letters change case.
    changed = "".join(change(letter) if letter.isascii() else letter for letter in text)
    return changed[start:] + changed[:start]


def _mixed_words(draw: random.Random) -> str:
    words = [_pick(draw, tuple(_pick(draw, SENTENCES).split(" "))) for _ in range(2 + _below(draw, 12))]
    return _pick(draw, (" ", " ", "  ", "-", "", "\t", "\n")).join(words)


def _one_range(draw: random.Random) -> str:
    first, last = RANGES[_below(draw, len(RANGES))]
    return _characters(draw, first, last, 1 + _below(draw, 40))


def _many_ranges(draw: random.Random) -> str:
    parts = []
    for _ in range(1 + _below(draw, 8)):
        first, last = RANGES[_below(draw, len(RANGES))]
        parts.append(_characters(draw, first, last, 1 + _below(draw, 6)))
    return _pick(draw, ("", " ", "\u3000")).join([*parts, _pick(draw, EMOJI)])


def _characters(draw: random.Random, first: int, last: int, length: int) -> str:
    return "".join(
        " " if draw.random() < 0.1 else chr(first + _below(draw, last - first + 1)) for _ in range(length)
    )


def _runs(draw: random.Random) -> str:
    units = (
        " ",
        "\n",
        "\t",
        "a",
        "-",
        "=",
        "ha",
        "ab",
        "哈",
        "ハ",
        "0",
        ".",
        "\r\n",
        "ه",
        "!?",
        "_",
        "▁",
        "nana",
    )
    runs = [_pick(draw, units) * (1 + _below(draw, 50)) for _ in range(1 + _below(draw, 4))]
    return _pick(draw, ("", "x", " ")).join(runs)


def _code(draw: random.Random) -> str:
    text = _pick(draw, CODE)
    start = _below(draw, len(text))
    return " " * _below(draw, 40) + text[start:] + text[:start]


def _numbers(draw: random.Random) -> str:
    parts = []
    for _ in range(1 + _below(draw, 8)):
        digits = str(_below(draw, 10 ** (1 + _below(draw, 12))))
        parts.append(
            _pick(draw, ("", "-", "$", "€", "№ ", "x^")) + digits + _pick(draw, ("", "%", ".5", ",000", "th"))
        )
    return _pick(draw, (" ", ", ", "/", ":", "")).join(parts)


def _marked_up(draw: random.Random) -> str:
    parts = []
    for _ in range(1 + _below(draw, 6)):
        parts.append(_pick(draw, (CONTROL_TEXTS, WHOLE_TEXTS, EMOJI, SENTENCES)[_below(draw, 4)]))
    return _pick(draw, ("", " ", "\n")).join(parts)
