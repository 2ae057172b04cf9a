"""Every address of the web process."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from autores.observability import health

admin.site.site_title = admin.site.site_header = "Autores"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", health.live),
    path("readyz", health.ready),
    path("admin/", admin.site.urls),
    re_path(r"^admin$", RedirectView.as_view(pattern_name="admin:index")),
    path("api/v1/", include("accounts.api.urls")),
    path("api/v1/", include("mentions.api.urls")),
]

handler404 = "autores.problems.not_found"
handler500 = "autores.problems.server_error"
