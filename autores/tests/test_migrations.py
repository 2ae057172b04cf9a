import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_no_migration_is_missing_when_models_are_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # makemigrations asks the database for its history, so that it cannot run beside the tests.
    call_command("makemigrations", check_changes=True, dry_run=True)

    assert "No changes detected" in capsys.readouterr().out
