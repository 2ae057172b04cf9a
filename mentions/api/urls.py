"""Addresses of the message endpoints, below /api/v1/."""

from autores.routes import both_slashes
from mentions.api.coverage import CoverageView
from mentions.api.messages import MessageViewSet
from mentions.api.review import DraftViewSet, ReplyViewSet
from mentions.api.routers import BothSlashesRouter

router = BothSlashesRouter()
router.register("messages", MessageViewSet, basename="message")
router.register("drafts", DraftViewSet, basename="draft")
router.register("replies", ReplyViewSet, basename="reply")

urlpatterns = [
    *router.urls,
    *both_slashes("accounts/<str:id>/coverage", CoverageView.as_view(), name="account-coverage"),
]
