"""Addresses under /api/v1/ for people, sign-in and accounts."""

from accounts.api import views_accounts, views_auth, views_pause
from autores.routes import both_slashes

urlpatterns = [
    *both_slashes(
        "auth/twitter/authorize", views_auth.AuthorizeView.as_view(), name="twitter-authorize"
    ),
    *both_slashes(
        "auth/twitter/callback", views_auth.CallbackView.as_view(), name="twitter-callback"
    ),
    *both_slashes("auth/refresh", views_auth.RefreshView.as_view(), name="twitter-refresh"),
    *both_slashes("auth/token", views_auth.TokenView.as_view(), name="sign-in"),
    *both_slashes("auth/tokens", views_auth.PersonalTokensView.as_view(), name="personal-tokens"),
    *both_slashes(
        "auth/tokens/<str:id>", views_auth.PersonalTokenView.as_view(), name="personal-token"
    ),
    *both_slashes("auth/me", views_auth.MeView.as_view(), name="me"),
    *both_slashes("accounts/", views_accounts.AccountsView.as_view(), name="accounts"),
    *both_slashes("accounts/<str:id>", views_accounts.AccountView.as_view(), name="account"),
    *both_slashes(
        "accounts/<str:id>/history",
        views_accounts.AccountHistoryView.as_view(),
        name="account-history",
    ),
    *both_slashes("pause", views_pause.PauseView.as_view(), name="pause"),
]
