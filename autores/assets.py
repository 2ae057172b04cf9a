"""The admin's own style sheet and script, as unfold asks for them."""

from django.http import HttpRequest
from django.templatetags.static import static


def find_stylesheet(request: HttpRequest) -> str:
    return static("autores/admin.css")


def find_script(request: HttpRequest) -> str:
    return static("autores/keyboard.js")
