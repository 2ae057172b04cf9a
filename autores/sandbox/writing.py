"""Write a plausible short reply to a mention, in its language. Stands in for a model."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from autores.sandbox.languages import detect_language


@dataclass(frozen=True)
class Draft:
    text: str
    language: str
    mood: str
    topic: str
    reason: str


_TOPICS = (
    (
        "praise",
        r"thank|love|great|gracias|merci|danke|obrigad|complimenti|ありがとう|дяку|شكر|谢谢",
    ),
    (
        "billing",
        r"refund|invoice|charged|factura|facture|rembours|rechnung|fatura|fattura|reembolso",
    ),
    (
        "delivery",
        r"order|deliver|shipp|pedido|commande|livraison|bestell|ordine|sipariş|注文|订单|주문|"
        r"طلب|заказ|замовлен|ऑर्डर",
    ),
    ("bug", r"crash|error|bug|sign.?in|log.?in|fehler|anmelden|erreur|오류|로그인|код|404|loop"),
)

_TROUBLES = frozenset({"billing", "delivery", "bug"})

# By what they answer; {ref} keeps two answers from being the same text.
_PHRASES: dict[str, dict[str, list[str]]] = {
    "en": {
        "praise": [
            "Thank you, that made our day! 🙌",
            "So glad to hear it, thanks for telling us!",
        ],
        "other": [
            "Thanks for reaching out! We are looking into {ref} and will answer here.",
            "Good question! About {ref}: we are checking with the team and will answer here.",
        ],
        "trouble": [
            "Sorry for the trouble with {ref}. Send us a DM with the details and we will sort it.",
        ],
    },
    "es": {
        "praise": ["¡Muchas gracias, nos alegra mucho leerte! 🙌"],
        "other": [
            "¡Gracias por escribirnos! Estamos revisando {ref} y te respondemos por aquí.",
        ],
        "trouble": [
            "Sentimos las molestias con {ref}. Envíanos un mensaje directo y lo resolvemos.",
        ],
    },
    "fr": {
        "praise": ["Merci beaucoup, cela nous fait très plaisir ! 🙌"],
        "other": [
            "Merci pour votre message ! Nous regardons {ref} et revenons vers vous ici.",
        ],
        "trouble": [
            "Désolés pour {ref}. Écrivez-nous en message privé, nous allons régler cela.",
        ],
    },
    "de": {
        "praise": ["Vielen Dank, das freut uns sehr! 🙌"],
        "other": [
            "Danke für die Nachricht! Wir prüfen {ref} und melden uns hier.",
        ],
        "trouble": [
            "Das tut uns leid mit {ref}. Schick uns bitte eine Direktnachricht, wir klären das.",
        ],
    },
    "pt": {
        "praise": ["Muito obrigado, ficamos muito felizes! 🙌"],
        "other": ["Obrigado pelo contato! Estamos verificando {ref} e respondemos por aqui."],
    },
    "it": {
        "praise": ["Grazie mille, ci fa davvero piacere! 🙌"],
        "other": ["Grazie per averci scritto! Stiamo controllando {ref} e ti rispondiamo qui."],
    },
    "nl": {
        "praise": ["Dank je wel, wat fijn om te horen! 🙌"],
        "other": ["Bedankt voor je bericht! We kijken naar {ref} en laten het hier weten."],
    },
    "tr": {
        "praise": ["Çok teşekkürler, duymak harika! 🙌"],
        "other": ["Mesajınız için teşekkürler! {ref} konusuna bakıyoruz, buradan yazacağız."],
    },
    "ja": {
        "praise": ["嬉しいお言葉をありがとうございます!"],
        "other": ["ご連絡ありがとうございます。{ref}について確認し、こちらでご返信いたします。"],
    },
    "ko": {
        "praise": ["따뜻한 말씀 감사합니다!"],
        "other": ["문의해 주셔서 감사합니다. {ref} 확인 후 여기서 답변드리겠습니다."],
    },
    "zh": {
        "praise": ["谢谢您的支持!"],
        "other": ["感谢您的留言,我们正在核实{ref},会在这里给您答复。"],
    },
    "ar": {
        "praise": ["شكرا جزيلا لكم، هذا يسعدنا!"],
        "other": ["شكرا لتواصلكم، نراجع {ref} وسنرد عليكم هنا."],
    },
    "ru": {
        "praise": ["Большое спасибо, нам очень приятно!"],
        "other": ["Спасибо за сообщение! Проверяем {ref} и ответим здесь."],
    },
    "uk": {
        "praise": ["Щиро дякуємо, нам дуже приємно!"],
        "other": ["Дякуємо за повідомлення! Перевіряємо {ref} і відповімо тут."],
    },
    "hi": {
        "praise": ["बहुत धन्यवाद, यह सुनकर खुशी हुई!"],
        "other": ["संदेश के लिए धन्यवाद! हम {ref} की जाँच कर रहे हैं और यहीं उत्तर देंगे।"],
    },
}
_SUBJECTS = {
    "en": "this", "es": "tu consulta", "fr": "votre demande", "de": "dein Anliegen",
    "pt": "o seu caso", "it": "la tua richiesta", "nl": "je vraag", "tr": "talebiniz",
    "ja": "お問い合わせ", "ko": "문의 내용", "zh": "您的问题", "ar": "طلبكم", "ru": "ваш вопрос",
    "uk": "ваше питання", "hi": "आपके प्रश्न",
}  # fmt: skip


def write_reply(prompt: str, *, instructions: str = "") -> Draft:
    """A draft for the mention found in a prompt; the same prompt gets the same draft."""
    mention = find_mention(prompt)
    language = detect_language(mention)
    spoken = language if language in _PHRASES else "en"
    topic = next(
        (name for name, pattern in _TOPICS if re.search(pattern, mention, re.I)), "question"
    )
    phrases = list(_PHRASES[spoken]["praise" if topic == "praise" else "other"])
    if topic in _TROUBLES:
        phrases += _PHRASES[spoken].get("trouble", [])
    digest = hashlib.sha256((instructions + prompt).encode()).digest()
    number = re.search(r"\d{2,}", re.sub(r"https?://\S+", "", mention))
    subject = _SUBJECTS[spoken] + (f" ({number[0]})" if number else "")
    text = phrases[digest[0] % len(phrases)].replace("{ref}", subject)
    mood = {"praise": "positive", "bug": "negative", "billing": "negative"}.get(topic, "neutral")
    return Draft(
        text=text,
        language=spoken if language == "und" else language,
        mood=mood,
        topic=topic,
        reason=f"Answers a {topic} mention in {spoken}, promises a follow-up, names no one.",
    )


def find_mention(prompt: str) -> str:
    """The mention's own text inside a prompt: JSON, tagged, a marked line, or the last part."""
    posts = [post for line in prompt.splitlines() if (post := _read_post(line)) is not None]
    if posts:
        # Of a thread in JSON lines, the one that is marked, or else the last.
        marked_posts = [post for post in posts if post.get("answer_this") is True]
        return _text_of((marked_posts or posts)[-1]) or ""
    try:
        whole = json.loads(prompt)
    except ValueError:
        whole = None
    if isinstance(whole, dict) and (text := _text_of(whole)) is not None:
        return text
    tagged = re.findall(r"<(mention|post|message|tweet|text)[^>]*>(.*?)</\1>", prompt, re.S)
    if tagged:
        return str(tagged[0][1]).strip()
    marked = re.findall(
        r"^\s*(?:the )?(?:mention|post|message|tweet|text)[^:\n]{0,30}:\s*(.+)$",
        prompt,
        re.I | re.M,
    )
    if marked:
        return str(marked[-1]).strip().strip('"“”')
    handle_lines = [line for line in prompt.splitlines() if "@" in line]
    return handle_lines[-1] if handle_lines else prompt[-400:]


def _read_post(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        post = json.loads(line)
    except ValueError:
        return None
    return post if isinstance(post, dict) and _text_of(post) is not None else None


def _text_of(post: dict[str, Any]) -> str | None:
    for key in ("mention", "text", "message", "post", "content"):
        value = post.get(key)
        if isinstance(value, dict):
            value = value.get("text")
        if isinstance(value, str):
            return value
    return None
