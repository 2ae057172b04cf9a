"""The filter form of the browsable list."""

from typing import Any

from django.template import engines
from rest_framework.filters import BaseFilterBackend
from rest_framework.renderers import HTMLFormRenderer

from mentions.api.serializers import MessageListSerializer

_FORM = """
<h2>Filters</h2>
<form method="get" class="form-horizontal">
  {{ fields }}
  <div class="form-actions"><button class="btn btn-primary" type="submit">Filter</button></div>
</form>
"""


class MessageFilterForm(BaseFilterBackend):
    """Only the form: the list reads its parameters below the ORM (mentions.api.queries)."""

    def filter_queryset(self, request: Any, queryset: Any, view: Any) -> Any:
        return queryset

    def to_html(self, request: Any, queryset: Any, view: Any) -> str:
        given = MessageListSerializer(data=request.query_params)
        given.is_valid()
        fields = HTMLFormRenderer().render(
            given.data, renderer_context={"style": {"template_pack": "rest_framework/horizontal"}}
        )
        template = engines["django"].from_string(_FORM)
        return str(template.render({"fields": fields}, request))
