"""Every address of the web process."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import (
    SpectacularJSONAPIView,
    SpectacularRedocView,
    SpectacularSwaggerView,
)

from autores.api_root import ApiRootView
from autores.observability import health
from autores.routes import both_slashes

admin.site.site_title = admin.site.site_header = "Autores"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:mentions_message_changelist"), name="home"),
    path("healthz", health.live),
    path("readyz", health.ready),
    path("admin/", admin.site.urls),
    re_path(r"^admin$", RedirectView.as_view(pattern_name="admin:index")),
    *both_slashes("api/v1", ApiRootView.as_view(), name="api-root"),
    *both_slashes("api/v1/openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    *both_slashes(
        "api/v1/docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="api-docs"
    ),
    *both_slashes(
        "api/v1/redoc", SpectacularRedocView.as_view(url_name="openapi"), name="api-redoc"
    ),
    path("api/v1/auth/session/", include("rest_framework.urls")),
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include("mentions.api.urls")),
]

handler404 = "autores.problems.not_found"
handler500 = "autores.problems.server_error"
