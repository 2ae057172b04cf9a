"""The checker as a program, on a real sandbox and a real database."""

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import connect_account, create_person
from chaos.checker.__main__ import main
from mentions.ingest.poll import poll_account
from mentions.models import Message, Reply
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(sandbox: RunningSandbox) -> TwitterAccount:
    account = connect_account(sandbox, "acme", by=create_person("ana"))
    poll_account(account, now=timezone.now())
    sandbox.control.create_mentions(account="acme", author="lena", count=3)
    poll_account(account, now=timezone.now())
    for kind, message in zip(("public", "dm"), Message.objects.order_by("pk"), strict=False):
        reply = enqueue_reply(message, kind=kind, text=f"Hello by {kind}", now=timezone.now())
        deliver_reply(reply.pk, now=timezone.now())
    return account


def run_checker(sandbox: RunningSandbox, mongodb_url: str) -> int:
    name = str(connection.settings_dict["NAME"])
    return main(["--sandbox", sandbox.url, "--mongodb", mongodb_url, "--database", name])


def test_exit_code_is_zero_when_all_holds_and_one_when_not(
    acme: TwitterAccount,
    sandbox: RunningSandbox,
    mongodb_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_checker(sandbox, mongodb_url) == 0
    shown = capsys.readouterr().out
    assert "All holds." in shown
    figures = {" ".join(line.split()) for line in shown.splitlines()}
    assert {"mentions stored 3", "on X: public replies 1", "on X: direct messages 1"} <= figures

    public = Reply.objects.get(kind="public")
    sandbox.control.change_settings(duplicate_window_seconds=0)
    sandbox.world.posts.create(
        int(acme.twitter_id),
        text=public.text,
        in_reply_to=public.message_id,
        quote_of=None,
        exclude_user_ids=[],
        reply_settings=None,
        vocabulary="post",
    )
    Reply.objects.filter(kind="dm").update(text="Something else")
    Message.objects.filter(status="pending").delete()
    assert run_checker(sandbox, mongodb_url) == 1
    shown = capsys.readouterr().out
    for name in ("duplicates on X", "lost replies", "reachable, and not stored"):
        assert f"VIOLATED: {name}" in shown
