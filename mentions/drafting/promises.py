"""Words that bind the account: refunds, gifts, discounts, guarantees, deadlines, legal positions.

Pure. A word counts unless it is denied ("we cannot promise"). Lists of stems for the languages
teams answer in; a language that is missing falls through to the moderator's eyes.
"""

import re
from dataclasses import dataclass

from mentions.drafting.characters import fold_pattern, fold_text, replace_lookalikes


@dataclass(frozen=True, slots=True)
class Promise:
    """`kind` is the sort of promise; `canonical` tells one deadline from another."""

    kind: str
    canonical: str
    span: tuple[int, int]


_WORDS: dict[str, str] = {
    "refund": r"""
        refund\w*|reimburs\w*|chargeback|your\smoney\sreturned|cash[-\s]?back(?!\w)
        |money\s(?:will|shall|is|has|should)\s(?:be(?:ing|en)?\s)?(?:return|refund|credit|sent\sback)\w*
        |(?:we|i)(?:['’]ve|\shave|['’]ll|\swill)\s(?:just\s|already\s)?credit(?:ed)?(?!\w)
        |money\s(?:(?:will|is|should|shall|goes|comes|be|going|coming)\s){0,3}back
        |(?:full|complete|total)\srepayment|repay\s(?:you|it|the|your)(?!\w)
        |pay\s(?:you|it|that|this)\sback|be\scredited|credit\s(?:your|the)\s\w*\s?account
        |reembols\w*|devol\w+\s(?:el|su|tu|seu|o)\s?dinero|dinheiro\sde\svolta|estorn\w*
        |rembours\w*|(?:ruck|zuruck)?erstatt\w*|geld\szuruck|rimbors\w*|terugbeta\w*|geld\sterug
        |zwrot\w*\s(?:pieniedzy|kosztow|srodkow)|zwroc\w+\s\w*\s?pieniadze
        |возврат\w*|возмест\w*|возмещ\w*|верн\w+\s(?:\w+\s)?деньги|поверн\w+\s(?:\w+\s)?(?:кошти|гроші)
        |(?<!\w)(?:para\s)?iade|返金|払い戻し|退款|退钱|退錢|환불|استرداد|استرجاع|نعيد\s(?:لك\s)?(?:المال|المبلغ)
        |全額お返し|お金を?お?返し|[钱錢款].{0,4}(?:退|返)[给還还]|退[还還]|退给您|سنعيد|रिफंड|रिफ़ंड
        |पैस[ेा]\s(?:वापस|लौट)|(?:отримаєте|получите)\s\w*\s?(?:кошти|гроші|деньги)\s(?:назад|обратно)
        |pengembalian\sdana|hoan tien|återbetal\w*
    """,
    "gift": r"""
        (?<!feel\s)(?<!i'm\s)(?<!we're\s)(?<!are\syou\s)(?<![-\w])free(?!\w)(?!\sto(?!\w))(?!\stime)(?!\sup)(?!-|\sof\s(?!charge))
        |for\sfree|on\sthe\shouse|at\sour\s(?:own\s)?(?:expense|cost)
        |(?:yours|(?:get|have|send|ship|take|keep|fix|repair|replace|give)\s(?:\w+\s){1,4}?)\s?for\snothing(?!\w)
        |you\s(?:won['’]t|will\snot|will\snever|are\snot|aren['’]t)\s(?:be\s)?charged
        |(?:won['’]t|will\snot|will\snever|do\snot|don['’]t|not\sgoing\sto)\scharge\s(?:you|anything|for)(?!\w)
        |waiv(?:e|es|ed|ing)(?!\w)|without\s(?:any\s|extra\s)?charge|no\s(?:extra|additional)\scost
        |won['’]t\scost\syou|cover\s(?:the|all|your)\s(?:\w+\s)?(?:costs?|repairs?|damages?|fees?|bills?|loss(?:es)?)(?!\w)
        |(?:buy|get)\syou\s(?:a|an\sall)\s?new(?!\w)|(?:we|i)(?:['’]ll|\swill)\scomp(?!\w)
        |(?:it|this|that|one|shipping|delivery)(?:['’]s|\sis)\son\sus(?!\w)(?!\sto)
        |sin\s(?:cargo|coste|costo)(?!\w)|sem\s(?:custo|cobranca)|sans\sfrais|senza\scosti|ohne\saufpreis
        |(?:send|ship|give|mail|get)\s(?:you|out)\s(?:an?|the|your)\s(?:\w+\s)?replacement(?!\w)
        |(?:we|i)\sowe\syou\s(?:an?|one)(?!\w)(?!\s(?:\w+\s)?(?:apolog|explanation|answer|reply|thank|update))
        |complimentary|no\scharge|at\sno\scost|giveaway|freebie
        |(?<!\w)gratis(?!\w)|gratuit\w*|de\sgraca|kostenlos\w*|kostenfrei\w*|umsonst|geschenk\w*
        |regal(?:o|amos|aremos)|offert\w?\spar|cadeau\w*|omaggio|kosteloos|darmow\w*|za\sdarmo
        |bezplatn\w*|бесплатн\w*|безкоштовн\w*|в\sподарок|ucretsiz|bedava|無料|免费|免費|赠送|贈送
        |무료|مجان\w*|मुफ्त|मुफ़्त|निःशुल्क|mien phi|(?<!\w)you(?:'ve|’ve|\shave)\swon(?!\w)
    """,
    "discount": r"""
        discount\w*|half[-\s]price[d]?(?!\w)|half\soff(?!\w)|halben\spreis|mitad\sde(?:l)?\sprecio
        |metade\sdo\spreco|moitie\sprix|meta\sprezzo|за\sполцены|半額|半价|vouchers?|coupons?|promo\s?codes?|gift\scards?|store\scredit|account\scredit
        |descuento\w*|descont\w*|cupon\w*|cupom|rabat\w*|gutschein\w*|nachlass|remise(?!\w)
        |reduction\sde|bon\sd.achat|scont[oi](?!\w)|korting\w*|znizk\w*|скидк\w*|промокод\w*
        |ваучер\w*|знижк\w*|indirim\w*|割引|値引き|クーポン|折扣|优惠券|優惠券|打折|\d\s?折|할인|쿠폰
        |خصم|قسيمة|छूट|कूपन|diskon|giam gia
    """,
    "compensation": r"""
        pay\sfor\s(?:the|your|any|all)\s(?:\w+\s)?(?:damage|repair|clean|loss|bill|replacement)\w*
        |compensat\w*|compensac\w*|indemniz\w*|indeniz\w*|entschadig\w*|schadensersatz|indemnis\w*
        |dedommag\w*|risarci\w*|schadevergoeding|odszkodowan\w*|rekompensat\w*|компенс\w*|tazminat
        |賠償|赔偿|補償|补偿|보상|배상|تعويض\w*|मुआवज़?ा|kompensasi
    """,
    "guarantee": r"""
        guarant\w*|warrant(?:y|ies|ed)|(?<!\w)(?:i|we)(?:'ll|’ll|\swill|\scan|\sdo)?\s?promise|promised?\syou
        |you\shave\s(?:my|our)\sword|garanti\w*|garantiz\w*|garanz\w*|garant[ie]r\w*|garanc\w*|prometemos|(?<!\w)prometo
        |versprech\w*|versprich\w*|zusicher\w*|(?:je|nous)\s(?:vous\s|te\s)?promet\w*|promettiamo
        |(?<!\w)prometto|beloven|beloof\w*|gwarant\w*|obiecuj\w*|гарант\w*|обеща(?:ем|ю)|обіця\w*
        |soz\sveriyor\w*|保証|約束し|保证|保證|承诺|承諾|보장\w*|약속\w*|نضمن|أضمن|ضمان\w*|نعدك|गारंटी|वादा
        |dam bao|menjamin
    """,
    "commitment": r"""
        legally\sbinding|binding\s(?:offer|agreement|contract|deal)|it.?s\sa\sdeal|that.?s\sa\sdeal
        |no\stakesies\sbacksies|we\sadmit|admit\s(?:fault|liability|guilt)|(?:we\sare|we're|we’re|our)\s(?:legally\s)?(?:liable|liability)
        |(?:accept|assume|admit)\s(?:full\s|all\s|any\s)?(?:liability|responsibility|guilt)
        |take\s(?:full|all|complete)\s(?:the\s)?(?:responsibility|blame|liability)|(?:we|i)(?:['’]re|['’]m|\sare|\sam|\swere)\sat\sfault
        |(?<!\w)our\s(?:own\s)?(?:fault|negligence)(?!\w)|(?:we|i)(?:['’]re|\sare|\swere|\swas)\snegligent
        |(?:we|i)(?:['’]re|\sare|\swere)\sto\sblame
        |(?:we|i)(?:['’]re|\sare|\swere)\s(?:fully|entirely|solely)\sresponsible|vinculante|rechtsverbindlich\w*
        |juridiquement\scontraignant\w*|haften\sfur|юридически\sобязыва\w*|法的拘束力|具有法律效力|法律约束力
        |قانونيا\sملزم|ملزم\sقانونا
    """,
}
_UNITS = (
    r"(?:minutes?|mins?|hours?|hrs?|h|(?:business\s|working\s)?days?|weeks?|minutos?|horas?|dias?"
    r"|semanas?|minuten?|stunden?|tage?n?|werktage?n?|wochen?|heures?|jours?|semaines?|ore|giorni"
    r"|uur|uren|dagen|godzin\w*|dni|час\w*|минут\w*|дн\w*|день|saat|gun)"
)
_DEADLINE = (
    rf"(?:within|innerhalb\svon|binnen|dentro\sde|en\smenos\sde|em\sate|sous|d'ici|entro|in\sden\snachsten"
    rf"|en\slas\sproximas|w\sciagu|в\sтечение|(?:in|over)\sthe\snext)\s(?:the\snext\s|le\s|las\sproximas\s)?"
    rf"(?P<n>\d+|one|two|three|twenty-four)\s?(?P<u>{_UNITS})(?!\w)"
    r"|(?P<n2>\d+)\s?(?:時間以内|分以内|日以内|営業日以内|小时内|小時內|天内|天內|个工作日内|分钟内|시간\s?이내|일\s?이내)"
    r"|(?<!\w)by\s(?:tomorrow|tonight|the\send\sof\s(?:the\s)?(?:day|week))(?!\w)"
    r"|(?<!\w)bis\smorgen(?!\w)|avant\sdemain|ate\samanha|entro\sdomani|до\sзавтра"
)
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day)"
_COUNT = r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|a\sfew|a\scouple\sof)"
_TIME = (
    rf"(?:in\s{_COUNT}\s?{_UNITS}|tomorrow|tonight|today|(?:on|next|this|coming)\s{_WEEKDAY}"
    rf"|by\s(?:next\s|this\s)?(?:{_WEEKDAY}|noon|midnight|(?:the\s)?weekend)"
    r"|(?:next|this)\s(?:week|month|weekend|evening|afternoon|morning))(?!\w)"
)
# What a customer waits for; "we'll be there tomorrow" and "see you Friday" bind nobody.
_DEED = (
    r"(?:sort(?:ed)?(?:\sout)?|arriv\w*|deliver\w*|ship(?:ped|s)?|sen[dt]|fix(?:ed)?|repair(?:ed)?|resolv\w*|solv\w*"
    r"|replac\w*|restor\w*|releas\w*|launch\w*|dispatch\w*|complet\w*|finish\w*|done|ready"
    r"|answer\w*|repl(?:y|ied)|respond|call(?:\syou)?|back\sto\syou|have\s(?:it|them|yours?)"
    r"|get\s(?:it|them|yours?)|work(?:s|ing)?\sagain|updat\w*|upgrad\w*|cancel\w*|unlock\w*)"
)
_DATED_DEED = (
    rf"(?:(?:(?<!\w)(?:will|shall)|['’]ll|(?<!\w)(?:going\sto|gonna))\s[^.!?\n]{{0,40}}?(?<!\w){_DEED}(?!\w)"
    rf"|(?<!\w)(?:arrives|ships|launches)(?!\w))"
    rf"[^.!?\n]{{0,40}}?(?<!\w)(?P<time>{_TIME})"
)
_BY_DAY = rf"(?<!\w)(?P<by>by\s(?:next\s|this\s)?{_WEEKDAY})(?!\w)"
_QUESTION_START = re.compile(
    r"\W{0,9}(?:(?:and|so|but|hi|hello|hey)\W{1,3})?(?:did|do|does|has|have|is|are|was|were|can|could"
    r"|would|when|what|which|how|who|where)(?!\w)"
)
_PATTERNS = {
    kind: re.compile(fold_pattern(re.sub(r"\s*\n\s*", "", words.strip())))
    for kind, words in {**_WORDS, "deadline": f"{_DEADLINE}|{_DATED_DEED}|{_BY_DAY}"}.items()
}
# Words that deny what follows; the ones that deny what came before stand in _DENIAL_AFTER.
_DENIAL_BEFORE = re.compile(
    fold_pattern(
        r"(?<!\w)(?:not|never|no|cannot|can't|can’t|can not|won't|won’t|don't|don’t|doesn't|doesn’t"
        r"|(?:was|were|would|could|should|did|have|has|had)n['’]t"
        r"|isn't|isn’t|aren't|aren’t|without|unable to|nor|nunca|sin|não|sem|nicht|kein\w*|nie"
        r"|niemals|ohne|pas|jamais|ne|sans|aucun\w*|non|mai|senza|niet|geen|nooit|bez|не|нет|нельзя|без"
        r"|ніколи"
        r"|нет|لا|لن|ليس|بدون)(?!\w)"
        r"|不|没有|沒有|無法|无法"
    )
)
_DENIAL_AFTER = re.compile(
    fold_pattern(
        r"^\s(?:(?:ist|sind|ware|waren|da)\s)?(?:nicht|kein\w*|degil\w*|नहीं)(?!\w)"
        r"|^\w{0,4}(?:できません|できかね|いたしかね|致しかね|ありません|しません|하지 않|할 수 없"
        r"|되지 않|이 아닙)"
    )
)
# Not a denial, however it begins.
_COMFORT = re.compile(
    fold_pattern(
        r"why (?:don't|don’t)"
        r"|no (?:problem|worries|doubt|need to worry)|(?:don't|don’t|do not) (?:worry|panic)"
        r"|not only|why not|not to worry|not a problem|no te preocupes|no se preocupe"
        r"|sin problemas?|sin duda"
        r"|não se preocupe|nao se preocupe|sem problemas?|keine sorge|kein problem"
        r"|pas de (?:souci|probleme)"
        r"|ne vous inquietez pas|nessun problema|non si preoccupi|geen zorgen"
        r"|geen probleem|не волнуйтесь"
        r"|не переживайте|без проблем|nie ma sprawy|没问题|沒問題"
    )
)
_CLAUSE_END = re.compile(
    r"[.!?;:,。；，、\n]| but | and | so | pero | mas | aber | und | mais | et | ma | но | а "
    # "We won't rest until you have your refund", "don't hesitate to claim your voucher".
    r"| until | unless | before | hesitate to | bis | hasta que | jusqu|ate que "
)
# How far back a denial reaches, in characters of folded text.
_DENIAL_REACH = 40


def find_promises(text: str) -> list[Promise]:
    """Return the promises in the text that are not denied there, in order of position."""
    folded = fold_text(text)
    view = replace_lookalikes(folded.text)
    found = []
    for kind, pattern in _PATTERNS.items():
        for match in pattern.finditer(view):
            if is_denied(view, match):
                continue
            canonical = kind
            if kind == "deadline":
                if _is_asked(view, match):
                    continue
                time = match["time"] or match["by"] or match.group()
                canonical = re.sub(r"\s+", " ", time)
            found.append(Promise(kind, canonical, folded.span(*match.span())))
    return sorted(found, key=lambda p: p.span)


def _is_asked(view: str, match: re.Match[str]) -> bool:
    """Whether the match is part of a question: "Did it arrive by Friday?" promises nothing."""
    start = max(view.rfind(end, 0, match.start()) for end in ".!?\n") + 1
    end = re.compile(r"[.!?\n]").search(view, match.end())
    return end is not None and end.group() == "?" and bool(_QUESTION_START.match(view, start))


def is_denied(view: str, match: re.Match[str]) -> bool:
    """Whether folded text denies what ``match`` found in it."""
    before = view[max(0, match.start() - _DENIAL_REACH) : match.start()]
    before = _COMFORT.sub(",", before)
    before = _CLAUSE_END.split(before)[-1]
    return bool(_DENIAL_BEFORE.search(before)) or bool(_DENIAL_AFTER.search(view[match.end() :]))
