"""The admin's menu: the day's work first, then the accounts, then the records."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

_MENU: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Work",
        (
            ("Mentions", "forum", "mentions.message"),
            ("Drafts", "edit_note", "mentions.draft"),
            ("Outbox", "outbox", "mentions.reply"),
        ),
    ),
    (
        "Accounts",
        (
            ("X accounts", "alternate_email", "accounts.twitteraccount"),
            ("People", "group", "accounts.user"),
            ("Groups", "groups", "auth.group"),
            ("Roles", "badge", "accounts.membership"),
            ("Personal tokens", "key", "accounts.personaltoken"),
            ("Pause of all calls", "pause_circle", "accounts.apppause"),
        ),
    ),
    (
        "Records",
        (
            ("Audit", "history", "mentions.auditentry"),
            ("Cursors", "bookmark", "mentions.cursor"),
            ("Gaps", "visibility_off", "mentions.gap"),
            ("Imports", "move_to_inbox", "mentions.importrun"),
            ("Import rejects", "rule", "mentions.importreject"),
            ("Import conflicts", "call_split", "mentions.importconflict"),
            ("Import positions", "my_location", "mentions.importposition"),
            ("Deleted mentions", "delete", "mentions.tombstone"),
            ("Consent flows", "passkey", "accounts.oauthstate"),
        ),
    ),
)


def build_menu(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's SIDEBAR navigation: what is registered and what this person may see."""
    by_label = {
        model._meta.label_lower: model_admin for model, model_admin in admin.site._registry.items()
    }
    menu: list[dict[str, Any]] = []
    for title, entries in _MENU:
        items = [
            {
                "title": name,
                "icon": icon,
                "link": reverse(f"admin:{label.replace('.', '_')}_changelist"),
            }
            for name, icon, label in entries
            if label in by_label and by_label[label].has_module_permission(request)
        ]
        if items:
            menu.append({"title": title, "separator": bool(menu), "items": items})
    return menu
