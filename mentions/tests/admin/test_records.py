"""What superusers and managers change in the admin stands in the audit."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AppPause, Membership, TwitterAccount, User
from accounts.tests.admin.pages import address
from mentions.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_pause_can_be_set_again_and_is_on_record(admin_user: User, admin_client: Client) -> None:
    add = address("apppause", "add")
    past = timezone.now() - timedelta(hours=1)
    AppPause.objects.create(code="operator", reason="Last week.", until=past)
    assert admin_client.post(add, {"reason": "Maintenance."}).status_code == 302
    assert AppPause.current().reason == "Maintenance."
    assert admin_client.get(add).status_code == 403
    assert admin_client.post(address("apppause", "delete", "x"), {"post": "yes"}).status_code == 302
    assert AppPause.standing() is None
    told = AuditEntry.objects.order_by("at").values_list("action", "actor")
    assert list(told) == [("app.paused", admin_user.pk), ("app.resumed", admin_user.pk)]


def test_a_change_of_a_role_is_on_record(
    acme: TwitterAccount, admin_user: User, admin_client: Client, carla: User
) -> None:
    form = {"user": carla.pk, "account": acme.pk, "role": "responder"}
    admin_client.post(address("membership", "add"), form)
    membership = Membership.objects.get(user=carla)
    admin_client.post(address("membership", "change", membership.pk), {"role": "approver"})
    admin_client.post(address("membership", "delete", membership.pk), {"post": "yes"})
    entries = AuditEntry.objects.filter(action="account.role_changed").order_by("at")
    assert [(entry.before["role"], entry.after["role"]) for entry in entries] == [
        ("", "responder"),
        ("responder", "approver"),
        ("approver", ""),
    ]
    assert {(entry.actor, entry.account_id) for entry in entries} == {(admin_user.pk, acme.pk)}
    assert "carla: approver before, no role now." in [entry.note for entry in entries]


def test_the_audit_is_found_by_a_name_and_by_an_action(
    acme: TwitterAccount, admin_user: User, admin_client: Client, carla: User
) -> None:
    form = {"user": carla.pk, "account": acme.pk, "role": "responder"}
    admin_client.post(address("membership", "add"), form)
    entry = AuditEntry.objects.get(action="account.role_changed")
    for term in (admin_user.username, "account.role_changed", entry.object_id):
        page = admin_client.get("/admin/mentions/auditentry/", {"q": term}).content.decode()
        assert f"/admin/mentions/auditentry/{entry.pk}/change/" in page
    page = admin_client.get("/admin/mentions/auditentry/", {"q": "nobody"}).content.decode()
    assert f"/admin/mentions/auditentry/{entry.pk}/change/" not in page


@pytest.mark.parametrize("is_staff", [True, False])
def test_it_is_said_when_a_role_goes_to_who_cannot_sign_in_here(
    acme: TwitterAccount, admin_client: Client, carla: User, is_staff: bool
) -> None:
    User.objects.filter(pk=carla.pk).update(is_staff=is_staff)
    form = {"user": carla.pk, "account": acme.pk, "role": "responder"}
    page = admin_client.post(address("membership", "add"), form, follow=True).content.decode()
    assert ("carla works by the API alone" in page) is not is_staff
