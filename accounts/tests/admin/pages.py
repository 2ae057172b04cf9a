"""Pages of the accounts' admin: their addresses, and a client that is signed in."""

from django.test import Client
from django.urls import reverse

from accounts.models import User


def page_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def address(model: str, page: str, *args: str) -> str:
    return reverse(f"admin:accounts_{model}_{page}", args=args)
