"""A text in what a caller of the API sends."""

from typing import Any

from rest_framework import serializers


class TextField(serializers.CharField):
    """A string and nothing else: 5 and true are mistakes of the caller, not texts."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))
