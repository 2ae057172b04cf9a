"""Where a text sends its reader: links, handles, addresses, numbers and amounts of money.

Pure. Finds them through disguises (hxxp, "dot com", lookalike letters, letters spaced out). Top
level domains come from twitter-text, so that what X would turn into a link is a link here.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from mentions.drafting.characters import FoldedText, fold_pattern, fold_text, replace_lookalikes

LINK, EMAIL, HANDLE, PHONE, AMOUNT, TOKEN, MESSENGER = (
    "link",
    "email",
    "handle",
    "phone_number",
    "amount",
    "payment_address",
    "messenger",
)


@dataclass(frozen=True, slots=True)
class Contact:
    """One find: `canonical` compares across spellings; `is_disguised` when it hides what it is."""

    code: str
    canonical: str
    span: tuple[int, int]
    is_disguised: bool = False


@lru_cache(maxsize=1)
def _list_top_level_domains() -> frozenset[str]:
    # Here, because the package takes 12 MiB, and half of the processes judge no text.
    from twitter_text.regexp.valid_cctld import valid_cctld
    from twitter_text.regexp.valid_gtld import valid_gtld

    names: set[str] = {"app", "dev", "zip", "mov", "new"}
    for pattern in (valid_gtld, valid_cctld):
        names.update(re.findall(r"[\w-]+", pattern.pattern.split("(?=")[0]))
    return frozenset(fold_text(name).text for name in names if len(name) > 1)


# Only these after a dot that is spelled or spaced: "in", "it", "to" and "me" are words as well.
_COMMON_TLD = (
    r"(?:com|net|org|io|co|info|biz|xyz|app|dev|ru|ly|tv|cc|gg|ai|shop|store|site|online|club|vip"
    r"|click|de|fr|es|br|uk|eu)(?![a-z0-9_-])"
)
# After "dot" as a word, or hyphens, where these can hardly be meant otherwise.
_SPELLED_TLD = (
    r"(?:tk|ml|ga|cf|gq|pw|su|ws|sh|cn|nl|pl|jp|kr|top|win|link|live|pro|icu|cyou|buzz|lol|fun|space"
    r"|website|tech|page|work|bid|loan|date|download|review|world|today)(?![a-z0-9_-])"
)
# A link ends where another script's sentence goes on, as it does on X.
_IN_URL = r"[^\s<>\"“”«»、。（）「」『』【】\u1100-\u11ff\u3001-\u9fff]"
_AFTER = rf"(?:\.[a-z0-9-]+){{0,9}}(?::\d{{2,5}})?(?:@{_IN_URL}*)?(?:[/?#\\]{_IN_URL}*)?"
_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
# Scripts written without spaces may touch a link; other letters are part of its first label.
_LEFT_EDGE = r"(?<![^\W\u0e00-\u0e7f\u1100-\u11ff\u3040-\u9fff])(?<!-)(?<!\w\.)"
# Messengers and shorteners whose links are short enough to be spelled apart.
_SHORT_HOST = (
    r"(?:t|wa|m|bit|goo|discord|tinyurl|is|cutt|rb|buff|ow|lnkd|youtu|linktr|amzn|tg|ig|fb|vk)"
)
_NO_LABEL = (
    r"(?!(?:the|this|that|what|a|an|el|un|ce|au|o|no|ao|um|do|este|esse|neste|nesse|al|den|dem)\s)"
)

_SCHEME_LINKS = [
    re.compile(rf"h[tx*]{{2}}ps?:/{{1,2}}{_IN_URL}+"),
    re.compile(
        rf"(?:ftps?|wss?|tg|whatsapp|viber|skype|magnet|ipfs|ipns|javascript|intent)://?{_IN_URL}+"
    ),
]
# Group "host" is a link only if one of its labels is a top level domain.
_LINKS = [
    re.compile(rf"{_LEFT_EDGE}(?P<host>{_LABEL}(?:\.{_LABEL}){{1,9}})(?![a-z0-9_-]){_AFTER}"),
    re.compile(rf"(?<![\w-])(?<!\w\.)(?P<host>[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,9}}){_AFTER}"),
    re.compile(rf"(?<![\d.])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?![\d.]){_AFTER}"),
    re.compile(r"(?<![\w@])www\d?[. ]+\w+"),
]
_DOT_WORD = fold_pattern("d[o0]t|punto|ponto|point|punkt|nokta|точка|тчк|点|點|ドット|닷|نقطة")
_DISGUISED_LINKS = [
    re.compile(rf"h[tx*]{{2}}ps?\s?[\[({{]?\s?:\s?[\])}}]?\s?/\s?/\s?{_IN_URL}+"),
    re.compile(
        rf"[\w-]{{1,63}}\s?[\[({{<]\s?(?:\.|,|{_DOT_WORD})\s?[\])}}>]\s?{_COMMON_TLD}{_AFTER}"
    ),
    re.compile(rf"[\w-]{{1,63}}\s?[\[({{<]\s?(?:\.|{_DOT_WORD})\s?[\])}}>]\s?[\w-]+"),
    re.compile(rf"(?<!\w){_NO_LABEL}[\w-]{{2,63}}\s+d[o0]t\s+{_COMMON_TLD}{_AFTER}"),
    re.compile(
        rf"(?<!\w){_NO_LABEL}[\w-]{{2,63}}\s+(?:{_DOT_WORD})\s+(?:com|net|org)(?![a-z0-9]){_AFTER}"
    ),
    re.compile(
        rf"(?<!\w){_NO_LABEL}[a-z0-9-]{{2,63}}[\s-]{{1,5}}d[o0]t[\s-]{{1,5}}{_SPELLED_TLD}{_AFTER}"
    ),
    re.compile(r"[a-z0-9]{2,63}(?:dot|punto|ponto)(?:com|net|org)(?![a-z0-9])"),
    # "evil_dot_com", "evil *dot* com", "evil d-o-t com"; "evil dot c0m"; "evil . c o m"
    re.compile(
        r"[a-z0-9]{2,63}\s?(?:[_*~-]{1,5}\s?d[o0]t\s?[_*~-]{1,5}|d[-_. ][o0][-_. ]t)\s?"
        rf"{_COMMON_TLD}"
    ),
    re.compile(rf"(?<!\w){_NO_LABEL}[\w-]{{2,63}}\s+d[o0]t\s+(?:c[o0]m|n[e3]t|[o0]rg)(?![a-z0-9])"),
    re.compile(r"[a-z0-9]{2,63}\s?\.\s?(?:c\s[o0]\s?m|c\s?[o0]\sm|n\se\s?t|o\sr\s?g)(?![a-z0-9])"),
    re.compile(r"[a-z0-9]{2,63}\.\.(?:com|net|org|info|xyz|biz|ru)(?![a-z0-9])"),
    re.compile(rf"[a-z0-9]{{2,63}}\s\.\s{_COMMON_TLD}"),
    re.compile(rf"[a-z0-9]{{2,63}}\s?\.\s?{_COMMON_TLD}\s?/{_IN_URL}+"),
    # Nobody sets a space before the full stop and none after what follows it: "t . me/shop".
    re.compile(rf"(?<![a-z0-9])[a-z0-9-]{{1,63}}\s\.\s?[a-z]{{2,6}}\s?/\s?{_IN_URL}+"),
    re.compile(rf"(?<![a-z0-9]){_SHORT_HOST}\s?\.\s?[a-z]{{2,4}}\s?/\s?{_IN_URL}+"),
    re.compile(
        r"(?<![a-z0-9])(?:(?:bit|cutt|buff|ow)\sly|goo\sgl|wa\sme|is\sgd|rb\sgy|lnkd\sin|tinyurl\scom"
        rf"|discord\sgg|youtu\sbe)\s?/\s?{_IN_URL}+"
    ),
    re.compile(
        rf"(?<!\w){_NO_LABEL}(?!(?:our|your|new|any|use|is|of|and|or)\s)[a-z0-9-]{{2,63}}\s"
        r"\.(?:com|org|ru|info|biz|xyz|shop|online|site|club|vip|click)(?![\w-])"
    ),
    re.compile(rf"[a-z0-9]{{2,63}}[•·∙⋅‧。･,]{_COMMON_TLD}{_AFTER}"),
]
_EMAIL = re.compile(rf"[a-z0-9._%+'-]{{1,64}}@(?:{_LABEL}\.){{1,9}}[a-z0-9-]{{2,63}}")
_DISGUISED_EMAIL = re.compile(r"[\w.+-]{1,63}\s?[\[({<]\s?(?:at|@|arroba)\s?[\])}>]\s?[\w-]+")
# Apart from its sign only where it can be nothing else: "see you @ noon".
_HANDLE = re.compile(r"(?<![a-z0-9_])@(?:([a-z0-9_]{1,50})|\s([a-z0-9]+_[a-z0-9_]{1,40}))")
_MESSENGER = re.compile(
    fold_pattern(
        r"(?<![a-z])(?:telegram|whats\s?app|wechat|viber|snapchat|discord|threema"
        r"|cash\s?app|venmo|zelle|телеграм\w*|вотсап\w*"
        r"|ватсап\w*|微信|واتساب|تيليجرام|왓츠앱|텔레그램|व्हाट्सएप)"
    )
)
# Other services are named by brands themselves; who is sent there is another matter.
_ELSEWHERE = re.compile(
    r"(?<![a-z])(?:dm|pm|add|find|message|text|contact|reach|ping|write\sto|talk\sto)\s(?:me|us|him|her)"
    r"\s(?:\w+\s){0,2}?(?:on|via|over|by|at|through)\s(?:insta(?:gram)?|ig|facebook|fb|messenger"
    r"|line|signal|kik|skype|tiktok|linkedin|tg)(?![a-z])"
)

_NUMBER = r"(?:\d{1,3}(?:[ .,'’]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d+)?)(?!\d)"
_SCALE = fold_pattern(r"(?:\s?(?:k|m|mio|mil|thousand|million|тыс|млн|万|萬|億|亿))?")
# Each currency once, so that "€5", "5 EUR" and "5 euros" are the same amount.
_CURRENCIES = {
    "usd": r"us\$|\$|usd|dollars?|bucks|dolares|ドル|美元|달러|دولار|डॉलर|доллар\w*",
    "eur": r"€|eur|euros?|ユーロ|欧元|유로|يورو|евро",
    "gbp": r"£|gbp|pounds?|quid",
    "cny": r"¥|￥|円|元|块|jpy|cny|rmb|yen|yuan",
    "inr": r"₹|₨|rs\.?|inr|rupees?|रुपये|रुपए",
    "rub": r"₽|rub|руб\w*|rubles?",
    "krw": r"₩|krw|원",
    "try": r"₺|tl|lira|liras",
    "uah": r"₴|грн|гривен\w*",
    "brl": r"r\$|brl|reais",
    "peso": r"₱|mxn|ars|pesos?",
    "chf": r"chf|francs?|franken",
    "pln": r"zł|pln|zlot\w*|złot\w*",
    "krona": r"sek|nok|dkk|kronor|kroner|kr",
    "cent": r"¢|cents?|centavos?|centimes?",
    "crypto": r"₿|btc|eth|usdt|bitcoins?|ethereum",
    "other": r"₪|฿|₫|₦|ريال|درهم|aud|cad",
}
_ANY_CURRENCY = fold_pattern("|".join(_CURRENCIES.values()))
_CURRENCY_OF = {k: re.compile(fold_pattern(f"(?:{v})")) for k, v in _CURRENCIES.items()}
_PERCENT = fold_pattern(
    r"%|٪|percent|per cent|por ?ciento|por cento|prozent|pour ?cent|процент\w*|per ?cento"
    r"|パーセント|퍼센트|प्रतिशत"
)
_NUMBER_WORD = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|twenty|thirty|forty|fifty|hundred|"
    r"thousand|million|un|uno|una|dos|tres|cinco|diez|dez|cem|cien|mil|deux|trois|cinq|dix|cent|"
    r"mille|ein|einen|zwei|drei|funf|zehn|hundert|tausend)"
)
_AMOUNTS = [
    re.compile(rf"(?<![a-z])(?P<a>{_ANY_CURRENCY})\s?(?P<n>{_NUMBER}){_SCALE}(?![a-z]{{3}})"),
    re.compile(
        rf"(?<![a-z0-9.,])(?P<n>{_NUMBER}){_SCALE}\s?(?:us\s)?(?P<a>{_ANY_CURRENCY})(?![a-z])"
    ),
    re.compile(rf"(?<![a-z0-9.,])(?P<n>{_NUMBER})\s?(?P<p>{_PERCENT})"),
    re.compile(rf"(?<!\w)(?P<n>{_NUMBER_WORD})\s(?:us\s)?(?P<a>{_ANY_CURRENCY})(?![a-z])"),
]
_TOKEN = re.compile(r"(?<![a-z0-9/])(?=[a-z+/=_-]*\d)(?=[\d+/=_-]*[a-z])[a-z0-9+/=_-]{26,}")
_IBAN = re.compile(r"(?<!\w)[a-z]{2}\d{2}(?:\s?[a-z0-9]{4}){3,7}(?:\s?[a-z0-9]{1,3})?(?!\w)")
_DATE = re.compile(
    r"(?<!\d)(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})(?!\d)"
)
_PHONE = re.compile(r"(?<![a-z0-9.,])\+?\(?\d[\d ().\-/‐-―]{5,24}\d(?![a-z0-9])")
_TOLL_FREE = re.compile(r"(?<!\w)(?:1[-. ])?8\d\d[-. ](?=[\d-]*[a-z])[a-z\d-]{6,}")
_DIGIT_BY_DIGIT = re.compile(r"(?<![\d.,])\d(?:\s?[-.\s]\s?\d){6,14}(?![\d.,])")
_SPOKEN_DIGIT = (
    r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|cero|uno|dos|tres|cuatro|cinco|seis"
    r"|siete|ocho|nueve|null|eins|zwei|drei|vier|funf|sechs|sieben|acht|neun)"
)
_SPOKEN_PHONE = re.compile(rf"(?<!\w)(?:{_SPOKEN_DIGIT}[\s,-]+){{6,}}{_SPOKEN_DIGIT}(?!\w)")
_PHONE_CUE = re.compile(
    fold_pattern(
        r"call|phone|(?<![a-z])tel|telefon|llam|ligue|ligar|(?<![a-z])ruf|appel|chiam|dial|hotline"
        r"|sms|text us|whats\s?app|zadzwo|звон|телефон|اتصل|هاتف|电话|電話|전화|फोन|कॉल"
    )
)
_SPACED_OUT = re.compile(r"(?<!\S)(?:\S\s){5,}\S(?!\S)")
_PHONE_CUE_REACH = 40


def find_contacts(text: str, *, known_numbers: frozenset[str] = frozenset()) -> list[Contact]:
    """Return everything in the text that leads its reader somewhere, in order of position.

    `known_numbers` are runs of digits that are no phone number however long (an order number that
    the customer gave), unless the text says to call them.
    """
    folded = fold_text(text)
    found = list(_scan(text, folded, known_numbers=known_numbers))
    closed_up = _close_up_spaced_letters(folded)
    if closed_up is not None:
        taken = [c.span for c in found]
        for contact in _scan(text, closed_up, known_numbers=known_numbers):
            if not any(_overlaps(contact.span, span) for span in taken):
                found.append(
                    Contact(contact.code, contact.canonical, contact.span, is_disguised=True)
                )
    return sorted(found, key=lambda c: c.span)


def list_digit_runs(text: str) -> frozenset[str]:
    """Return the unbroken runs of digits in the text."""
    return frozenset(re.findall(r"\d+", fold_text(text).text))


def _scan(text: str, folded: FoldedText, *, known_numbers: frozenset[str]) -> Iterator[Contact]:
    # What one rule has claimed is blanked, so that a link's digits are not a phone number too.
    view = list(replace_lookalikes(folded.text))

    def claim(pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        for match in list(pattern.finditer("".join(view))):
            if match.start() == match.end() or "\0" in view[match.start() : match.end()]:
                continue
            yield match

    def take(match: re.Match[str], end: int | None = None) -> tuple[int, int]:
        stop = match.end() if end is None else end
        span = folded.span(match.start(), stop)
        view[match.start() : stop] = "\0" * (stop - match.start())
        return span

    def is_plain(span: tuple[int, int], seen: str) -> bool:
        return unicodedata.normalize("NFC", text[slice(*span)]).lower() == seen

    def find_links(patterns: Sequence[re.Pattern[str]]) -> Iterator[Contact]:
        for pattern in patterns:
            for match in claim(pattern):
                host = match.groupdict().get("host")
                if host and _list_top_level_domains().isdisjoint(_list_upper_labels(host)):
                    continue
                seen = match.group().rstrip(".,;:!?)]}'\"*_~’”»|")
                span = take(match, match.start() + len(seen))
                raw = text[slice(*span)]
                yield Contact(LINK, _canonical_link(raw), span, not is_plain(span, seen))

    yield from find_links(_SCHEME_LINKS)
    for match in claim(_EMAIL):
        span = take(match)
        yield Contact(EMAIL, match.group(), span, not is_plain(span, match.group()))
    for match in claim(_DISGUISED_EMAIL):
        yield Contact(EMAIL, match.group(), take(match), is_disguised=True)
    yield from find_links(_LINKS)
    for pattern in _DISGUISED_LINKS:
        for match in claim(pattern):
            yield Contact(LINK, match.group(), take(match), is_disguised=True)
    for match in claim(_HANDLE):
        span = take(match)
        name = match.group(1) or match.group(2)
        yield Contact(HANDLE, name, span, not is_plain(span, match.group()))
    for match in claim(_MESSENGER):
        yield Contact(MESSENGER, re.sub(r"\s", "", match.group()), take(match))
    for match in claim(_ELSEWHERE):
        yield Contact(MESSENGER, match.group().rsplit(maxsplit=1)[-1], take(match))
    for pattern in (_TOKEN, _IBAN):
        for match in claim(pattern):
            if sum(c.isdigit() for c in match.group()) >= 3:
                yield Contact(TOKEN, re.sub(r"\s", "", match.group()), take(match))
    for pattern in _AMOUNTS:
        for match in claim(pattern):
            canonical = _canonical_amount(match)
            if canonical != "100 %":
                yield Contact(AMOUNT, canonical, take(match))
    for match in claim(_DATE):
        take(match)
    for match in claim(_TOLL_FREE):
        yield Contact(PHONE, re.sub(r"[^a-z0-9]", "", match.group()), take(match))
    for pattern in (_SPOKEN_PHONE, _DIGIT_BY_DIGIT):
        for match in claim(pattern):
            yield Contact(PHONE, match.group(), take(match), is_disguised=True)
    for match in claim(_PHONE):
        digits = re.sub(r"\D", "", match.group())
        before = folded.text[max(0, match.start() - _PHONE_CUE_REACH) : match.start()]
        if _is_phone(match.group(), digits, before=before, known_numbers=known_numbers):
            yield Contact(PHONE, digits, take(match))


def _is_phone(raw: str, digits: str, *, before: str, known_numbers: frozenset[str]) -> bool:
    count = len(digits)
    if not 7 <= count <= 15:
        return False
    if raw.startswith("+") or _PHONE_CUE.search(before):
        return True
    if raw.isdigit():
        return count >= 10 and digits not in known_numbers
    return count >= 9 or bool(re.fullmatch(r"\d{3}[-. ]\d{4}", raw))


def _close_up_spaced_letters(folded: FoldedText) -> FoldedText | None:
    """Return the text with "e x a m p l e . c o m" closed up; None when nothing is spaced out."""
    dropped = {
        index
        for match in _SPACED_OUT.finditer(folded.text)
        for index in range(*match.span())
        if folded.text[index].isspace()
    }
    if not dropped:
        return None
    kept = [i for i in range(len(folded.text)) if i not in dropped]
    return FoldedText("".join(folded.text[i] for i in kept), tuple(folded.origins[i] for i in kept))


def _list_upper_labels(host: str) -> list[str]:
    """Return the labels that could be a top level domain; "3.am" and "v2.5" have none."""
    labels = host.split(".")
    return [
        "com" if label.startswith("xn--") else label
        for previous, label in pairwise(labels)
        if not previous.isdigit() or len(labels) > 2
    ]


def _canonical_link(raw: str) -> str:
    without_scheme = re.sub(r"^https?://", "", raw, flags=re.IGNORECASE)
    host, separator, rest = re.match(  # type: ignore[union-attr]  # matches every text
        r"([^/?#\\]*)([/?#\\]?)(.*)", without_scheme, flags=re.DOTALL
    ).groups()
    host = host.lower().removeprefix("www.")
    return (host + separator + rest).rstrip("/")


def _canonical_amount(match: re.Match[str]) -> str:
    groups = match.groupdict()
    number = _canonical_number(groups["n"])
    if groups.get("p"):
        return f"{number} %"
    symbol = groups["a"]
    unit = next((k for k, p in _CURRENCY_OF.items() if p.fullmatch(symbol)), symbol)
    scale = match.group()[match.end("n") - match.start() :].replace(symbol, "").strip()
    return " ".join(filter(None, (number, scale, unit)))


@lru_cache(maxsize=256)
def _canonical_number(raw: str) -> str:
    """Return "1299.5" for "1.299,50", "1,299.50" and "1 299,5"."""
    decimal = re.search(r"[.,](\d{1,2})$", raw)
    whole = raw[: decimal.start()] if decimal else raw
    whole = re.sub(r"[ .,'’]", "", whole)
    fraction = decimal.group(1).rstrip("0") if decimal else ""
    return f"{whole}.{fraction}" if fraction else whole


def _overlaps(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] < b[1] and b[0] < a[1]
