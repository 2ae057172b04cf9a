"""Every address of the web process."""

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path, re_path, reverse
from django.views.generic import RedirectView
from drf_spectacular.views import (
    SpectacularJSONAPIView,
    SpectacularRedocView,
    SpectacularSwaggerSplitView,
)

from autores.api_root import ApiRootView
from autores.observability import health
from autores.problems import not_found
from autores.routes import both_slashes


def show_admin_home(request: HttpRequest) -> HttpResponse:
    """The day's work for who may see it; Django's own index for everybody else."""
    mentions = reverse("admin:mentions_message_changelist")
    if any(
        model._meta.label_lower == "mentions.message" and model_admin.has_module_permission(request)
        for model, model_admin in admin.site._registry.items()
    ):
        return redirect(mentions)
    if request.user.is_authenticated and request.user.is_staff:
        messages.info(
            request,
            "You have no role on an account yet: ask a manager of one for it, or connect an "
            "account of your own under X accounts.",
        )
    return admin.site.admin_view(admin.site.index)(request)


def show_icon(request: HttpRequest) -> HttpResponse:
    """What browsers ask for unasked."""
    return redirect(static("autores/icon.svg"))


admin.autodiscover()
admin.site.site_title = admin.site.site_header = "Autores"

urlpatterns = [
    # In front, because they are asked for most, and patterns are tried in order.
    path("api/v1/", include("mentions.api.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("favicon.ico", show_icon),
    path("healthz", health.live),
    path("readyz", health.ready),
    path("admin/", show_admin_home),
    # Django's way from an object to its page elsewhere: no object here has one.
    re_path(r"^admin/r/", not_found, {"exception": Http404()}),
    path("admin/", admin.site.urls),
    re_path(r"^admin$", RedirectView.as_view(pattern_name="admin:index")),
    *both_slashes("api/v1", ApiRootView.as_view(), name="api-root"),
    *both_slashes("api/v1/openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    *both_slashes(
        "api/v1/docs", SpectacularSwaggerSplitView.as_view(url_name="openapi"), name="api-docs"
    ),
    *both_slashes(
        "api/v1/redoc", SpectacularRedocView.as_view(url_name="openapi"), name="api-redoc"
    ),
    path("api/v1/auth/session/", include("rest_framework.urls")),
    path("api/v1/", include("accounts.api.urls")),
]

handler400 = "autores.problems.bad_request"
handler403 = "autores.problems.forbidden"
handler404 = "autores.problems.not_found"
handler500 = "autores.problems.server_error"
