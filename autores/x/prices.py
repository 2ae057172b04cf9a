"""What X bills for a write, in US dollars, by its pay-per-use list; other plans have other prices.

Whether a summoned reply with a link costs as a reply or as a post with a link is not documented.
"""

from decimal import Decimal

SUMMONED_REPLY = Decimal("0.010")
POST_WITH_LINK = Decimal("0.200")
DIRECT_MESSAGE = Decimal("0.015")
