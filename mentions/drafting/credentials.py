"""Requests for what nobody may ask for in public or by message: passwords, codes, card numbers.

Pure. A request is a word that asks, and what is asked for soon after it, not denied ("never send
us your password"). The account's own words are no excuse: a person may still edit the draft.
"""

import re

from mentions.drafting.characters import fold_pattern, fold_text, replace_lookalikes
from mentions.drafting.promises import is_denied

_ASKING = fold_pattern(
    r"(?<!\w)(?:send|dm|pm|post|enter|type|message|text|e-?mail|tell|give|share|provide|confirm|verify|submit|forward"
    r"|(?:reply|respond|answer|come\sback)\sto\sus\swith|(?:reply|respond|answer|write)\swith|need"
    r"|ask(?:ing)?(?:\syou)?\sfor|what(?:['’]s|\sis|\sare|\swas)|(?:may|can|could)\s(?:i|we)\s(?:get|have)"
    r"|let\s(?:us|me)\s(?:have|know)|envi[ae]\w*|manda\w*|dinos|digan?os|necesit\w+|schick\w*|sende\w*"
    r"|nenn\w*|teil\w*|gib|brauchen|envoye[rz]\w*|donne[rz]\w*|indique[rz]\w*|inform[ea]\w*|precisamos"
    r"|invia\w*|пришлите|сообщите|напишите|назовите|отправьте)(?!\w)"
    r"|教えて|送って|お送り|请提供|请发|請提供|알려|보내"
)
_SECRET = fold_pattern(
    r"(?<!\w)(?:pass\s?(?:word|code|phrase)s?|cvv|cvc|otp|security\scode|one[-\s]time\s(?:pass)?(?:code|word)s?"
    r"|(?:verification|log-?\s?in|auth\w*|2fa|sms|confirmation|access)\scodes?|(?:your|the)\s(?:\w+\s)?pin"
    r"|code\s(?:that\s|which\s)?(?:we|you)(?:['’]ve)?\s(?:just\s)?(?:sent|got|received|texted)"
    r"|(?:credit\s|debit\s|bank\s)?card\s(?:number|details|data|info\w*)|(?:credit|debit|bank)\scard"
    r"|digits\s(?:on|of|from)\s(?:\w+\s){0,5}card|(?:first|last)\s(?:four|three|4|3)\sdigits"
    r"|account\snumber|bank\s(?:details|account|data|info\w*)|sort\scode|routing\snumber|iban|ssn"
    r"|social\ssecurity|passport|driv\w+\slicen[cs]e|(?:national\s)?id\s(?:card|number)|date\sof\sbirth"
    r"|(?:seed|recovery)\s(?:phrase|words)|private\skey|log-?\s?in\s(?:details|data|info\w*)|credentials"
    r"|maiden\sname|contrasena|clave|numero\sde\s(?:la\s)?(?:tarjeta|cuenta)|passwort|kennwort"
    r"|kartennummer|kontonummer|bankdaten|mot\sde\spasse|numero\sde\s(?:votre\s|ta\s)?carte|senha"
    r"|numero\sdo\s(?:seu\s)?cartao|numero\sdella\s(?:tua\s|sua\s)?carta|парол[ьяе]|номер\s\w*\s?карты"
    r"|код\sиз\s(?:смс|sms))(?!\w)|パスワード|暗証番号|カード番号|密码|密碼|验证码|驗證碼|银行卡号|비밀번호|인증번호|카드\s?번호"
)
_GAP = r"[^.!?\n。！？]{0,40}?"
_REQUESTS = [
    re.compile(f"(?:{_ASKING}){_GAP}(?:{_SECRET})"),
    re.compile(f"(?:{_SECRET}){_GAP}(?:please|(?<!\\w)bitte(?!\\w)|por favor|s'il vous plait)"),
    # What may be asked for in a direct message, asked for where all can read it.
    re.compile(
        rf"(?<!\w)(?:post|share|leave|write|comment|reply|drop|put|tell)(?!\w){_GAP}"
        r"(?:e-?mail(?:\saddress)?|phone\snumber|telephone|(?:home|postal|your)\saddress)(?!\w)"
        rf"{_GAP}(?<!\w)(?:here|below|publicly|in\s(?:the|a)\s(?:comments?|repl(?:y|ies)|thread))(?!\w)"
    ),
    # Verbs that stand behind what they ask for.
    re.compile(
        rf"(?:{_SECRET}).{{0,6}}(?:教えて|送って|お送り|알려|보내|[发發](?:给|給|到)|告[诉訴])"
    ),
]


def find_credential_requests(text: str) -> list[tuple[int, int]]:
    """Spans of the requests, in order of position."""
    folded = fold_text(text)
    view = replace_lookalikes(folded.text)
    found: list[tuple[int, int]] = []
    for pattern in _REQUESTS:
        for match in pattern.finditer(view):
            span = folded.span(*match.span())
            is_known = any(a < span[1] and span[0] < b for a, b in found)
            if not is_known and not is_denied(view, match):
                found.append(span)
    return sorted(found)
