"""The admin's pages for people, X accounts, and what belongs to them."""

from accounts.admin import people, records, x_accounts
from accounts.admin.cells import draw_once

__all__ = ["people", "records", "x_accounts"]

draw_once()
