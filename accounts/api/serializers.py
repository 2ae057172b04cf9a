"""What the endpoints of people and accounts take and give. No field ever holds a stored token."""

from typing import Any, ClassVar

from django.utils import timezone
from rest_framework import serializers

from accounts.errors import RefreshFencedError
from accounts.linking import REQUIRED_SCOPES
from accounts.models import (
    MAX_VOICE_CHARACTERS,
    AccountEvent,
    AccountStatus,
    PersonalToken,
    Role,
    TwitterAccount,
    User,
)
from autores.parsers import refuse_unknown_fields
from autores.texts import TextField


class AuthorizationSerializer(serializers.Serializer[Any]):
    authorization_url = serializers.URLField(
        help_text="X's consent page, to be opened in this browser."
    )
    message = serializers.CharField()


class AccountBriefSerializer(serializers.ModelSerializer[TwitterAccount]):
    is_active = serializers.BooleanField(read_only=True)

    class Meta:
        model = TwitterAccount
        fields: ClassVar[list[str]] = [
            "id",
            "twitter_id",
            "twitter_username",
            "display_name",
            "is_active",
        ]
        read_only_fields = fields


class AccessTokenSerializer(serializers.Serializer[Any]):
    access_token = serializers.CharField(help_text="Send it as Authorization: Bearer …")
    token_type = serializers.CharField(default="bearer")
    expires_in = serializers.IntegerField(help_text="Seconds.")


class ConnectedSerializer(AccessTokenSerializer):
    message = serializers.CharField()
    account = AccountBriefSerializer()


class RefreshRequestSerializer(serializers.Serializer[Any]):
    account_id = serializers.CharField(max_length=64)


class RefreshedSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    expires_at = serializers.DateTimeField()
    account_username = serializers.CharField()


class CredentialsSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(
        max_length=4096, trim_whitespace=False, style={"input_type": "password"}
    )


class AccountSerializer(serializers.ModelSerializer[TwitterAccount]):
    """An account and its health."""

    is_active = serializers.BooleanField(read_only=True)
    missing_scopes = serializers.SerializerMethodField(
        help_text="Permissions the account cannot be worked without, and did not grant."
    )
    token_fence = serializers.SerializerMethodField(
        help_text="Why the account's token is not refreshed for now; empty when it is."
    )
    role = serializers.SerializerMethodField(help_text="The caller's role on the account.")
    scopes = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = TwitterAccount
        fields: ClassVar[list[str]] = [
            "id",
            "twitter_id",
            "twitter_username",
            "display_name",
            "is_active",
            "status",
            "status_reason",
            "status_changed_at",
            "blocked_until",
            "last_polled_at",
            "complete_until",
            "last_error_code",
            "last_error",
            "last_error_at",
            "token_expires_at",
            "scopes",
            "missing_scopes",
            "token_fence",
            "role",
            "voice",
            "drafts_automatically",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields

    def get_missing_scopes(self, account: TwitterAccount) -> list[str]:
        return sorted(REQUIRED_SCOPES - set(account.scopes)) if account.scopes else []

    def get_token_fence(self, account: TwitterAccount) -> str:
        return RefreshFencedError.default_sentence if account.is_fenced else ""

    def get_role(self, account: TwitterAccount) -> str:
        roles: dict[str, str] | None = self.context.get("roles")
        return str(Role.MANAGER.value) if roles is None else roles.get(account.pk, "")


class AccountEventSerializer(serializers.ModelSerializer[AccountEvent]):
    """A change of an account's status."""

    class Meta:
        model = AccountEvent
        fields: ClassVar[list[str]] = ["at", "event", "before", "after", "code", "reason", "actor"]
        read_only_fields = fields


class AccountChangeSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(
        choices=[AccountStatus.ACTIVE.value, AccountStatus.PAUSED.value],
        required=False,
        help_text="paused stops all work on the account, active resumes it.",
    )
    voice = TextField(required=False, allow_blank=True, max_length=MAX_VOICE_CHARACTERS)
    drafts_automatically = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        refuse_unknown_fields(self, read_only=set(AccountSerializer.Meta.fields))
        if not attrs:
            raise serializers.ValidationError(
                f"Give at least one of: {', '.join(self.fields)}.", code="empty"
            )
        return attrs


class PersonalTokenSerializer(serializers.ModelSerializer[PersonalToken]):
    id = serializers.CharField(source="digest", read_only=True)

    class Meta:
        model = PersonalToken
        fields: ClassVar[list[str]] = [
            "id",
            "name",
            "prefix",
            "created_at",
            "last_used_at",
            "expires_at",
            "revoked_at",
        ]
        read_only_fields: ClassVar[list[str]] = [
            "id",
            "prefix",
            "created_at",
            "last_used_at",
            "revoked_at",
        ]

    def validate_expires_at(self, value: Any) -> Any:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This time has passed already.")
        return value


class NewPersonalTokenSerializer(PersonalTokenSerializer):
    token = serializers.CharField(read_only=True, help_text="Shown this once. Keep it.")

    class Meta(PersonalTokenSerializer.Meta):
        fields: ClassVar[list[str]] = [*PersonalTokenSerializer.Meta.fields, "token"]


class RoleOnAccountSerializer(serializers.Serializer[Any]):
    account_id = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)


class PersonSerializer(serializers.ModelSerializer[User]):
    roles = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields: ClassVar[list[str]] = [
            "id",
            "username",
            "first_name",
            "last_name",
            "email",
            "is_staff",
            "is_superuser",
            "x_user_id",
            "roles",
        ]
        read_only_fields = fields

    def get_roles(self, person: User) -> RoleOnAccountSerializer:
        found = person.memberships.order_by("account_id").values("account_id", "role")
        return RoleOnAccountSerializer(found, many=True).data
