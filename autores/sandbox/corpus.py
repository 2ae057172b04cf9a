"""People and texts for mentions that arrive by themselves."""

from __future__ import annotations

import random

PEOPLE: list[tuple[str, str]] = [
    ("maya_okafor", "Maya Okafor"),
    ("jonas_weber", "Jonas Weber"),
    ("lucia_ferrer", "Lucía Ferrer"),
    ("hugo_lambert", "Hugo Lambert"),
    ("priya_nair", "Priya Nair"),
    ("tomoko_abe", "阿部 智子"),
    ("rafael_souza", "Rafael Souza"),
    ("chloe_martin", "Chloé Martin"),
    ("ahmed_saleh", "أحمد صالح"),
    ("nina_petrova", "Нина Петрова"),
    ("giulia_conti", "Giulia Conti"),
    ("dan_walker", "Dan Walker"),
    ("sofia_reyes", "Sofía Reyes"),
    ("elif_demir", "Elif Demir"),
    ("pieter_devries", "Pieter de Vries"),
    ("minji_kim", "김민지"),
    ("oleh_bondar", "Олег Бондар"),
    ("grace_mensah", "Grace Mensah"),
    ("aino_virtanen", "Aino Virtanen"),
    ("ben_ortiz", "Ben Ortiz"),
    ("zofia_nowak", "Zofia Nowak"),
    ("li_wei_88", "李伟"),
    ("noa_cohen", "נועה כהן"),
    ("omar_haddad", "Omar Haddad"),
    ("ingrid_berg", "Ingrid Berg"),
    ("kwame_asante", "Kwame Asante"),
    ("yuki_tanaka", "田中 ゆき"),
    ("emma_clarke", "Emma Clarke"),
    ("diego_luna_m", "Diego Luna"),
    ("fatima_zahra", "Fatima Zahra"),
]

ITEMS = [
    "order 48213",
    "order 51907",
    "the blue jacket",
    "the annual plan",
    "the Android app",
    "the 2.4 update",
    "the spring sale",
    "my invoice for October",
    "the webinar on Thursday",
    "the refund I asked for",
    "the export to CSV",
    "two-factor sign-in",
]
# By the language they are in.
TEXTS: dict[str, list[str]] = {
    "en": [
        "Hi! Any news about {item}? It has been {n} days.",
        "Love the new dashboard, {n} minutes in and I already found what I needed 🙌",
        "I was charged twice for {item}. Can somebody look into it please?",
        "Does {item} work offline? Could not find it in the docs.",
        "The app crashes every time I open the settings, Pixel {n}, latest version.",
        "Thanks for the quick help yesterday, {item} works again!",
        "Is there a student discount? Asking for {n} friends 😄",
        "Sign-in sends me in a loop since this morning. Status page says all green. {item}?",
        "Where do I change the language for {item}?",
        "Your support line kept me waiting {n} minutes. Not great.",
        "Can you share the link to {item}? example.com/help gives me a 404.",
        "Great talk today! Slides for {item} anywhere? {n}/10 would watch again",
    ],
    "es": [
        "¿Cuándo vuelve a haber existencias de la chaqueta azul, talla {n}?",
        "Llevo {n} días esperando mi pedido y nadie me contesta. ¿Me pueden ayudar?",
        "¡Gracias por la actualización! La aplicación va mucho más rápida desde el martes {n}.",
        "Hola, ¿cómo puedo descargar la factura del mes pasado? Ref. {n}",
    ],
    "fr": [
        "Bonjour, comment est-ce que je peux modifier mon adresse de livraison ? Commande n° {n}",
        "Toujours pas de remboursement après {n} jours, c'est vraiment long...",
        "Merci pour votre réponse, tout est réglé avec le dossier {n} !",
    ],
    "de": [
        "Hallo, wann ist die Version für den Mac fertig? Warte seit {n} Wochen.",
        "Ich kann mich seit gestern nicht anmelden, Fehler {n}. Was kann ich tun?",
        "Danke für die schnelle Hilfe, Ticket {n} ist gelöst 👍",
    ],
    "pt": [
        "Oi! Vocês entregam em Manaus? Já são {n} vezes que pergunto.",
        "Meu pedido {n} chegou com a caixa aberta, como faço para trocar?",
    ],
    "it": [
        "Ciao, il mio ordine {n} non è ancora arrivato. Quando lo spedite?",
        "Complimenti per la nuova versione, l'ho già consigliata a {n} amici!",
    ],
    "nl": [
        "De app is erg traag sinds de update van {n} november, herkennen jullie dit?",
    ],
    "tr": [
        "Siparişim {n} gündür kargoda, bir bilgi var mı?",
    ],
    "ja": [
        "注文番号{n}の商品がまだ届きません。確認していただけますか?",
        "アップデート{n}、とても使いやすくなりました。ありがとうございます!",
    ],
    "ko": [
        "로그인이 안 돼요. 오류 코드 {n}번이 나옵니다. 도와주세요.",
    ],
    "zh": [
        "请问订单{n}什么时候发货?已经等了一个星期了。",
    ],
    "ar": [
        "متى يصل طلبي رقم {n}؟ شكرا لكم",
    ],
    "ru": [
        "Здравствуйте! Не приходит код подтверждения, пробовал {n} раз. Что делать?",
    ],
    "uk": [
        "Дякую за швидку відповідь, замовлення {n} вже в дорозі!",
    ],
    "hi": [
        "नमस्ते, मेरा ऑर्डर {n} कब पहुँचेगा?",
    ],
}


def sample_text(source: random.Random) -> str:
    """A realistic text without a handle in it."""
    text = source.choice([text for texts in TEXTS.values() for text in texts])
    return text.replace("{item}", source.choice(ITEMS)).replace("{n}", str(source.randint(2, 99)))
