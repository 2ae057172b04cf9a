"""``manage.py restore_indexes``: build the indexes that a killed import left out."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

from autores.mongo.errors import DuplicateDocumentsError
from autores.mongo.restore import list_incomplete_models, restore_indexes
from mentions.legacy.errors import LegacyImportError
from mentions.legacy.lease import ImportLease


class Command(BaseCommand):
    help = (
        "Build the indexes that the models declare and MongoDB lacks. A large import drops them "
        "before it loads and builds them in the end; one that was killed leaves them out until it "
        "is run again, or this is."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with ImportLease("restore_indexes"):
                found = list(list_incomplete_models())
                for model, names in found:
                    self.stdout.write(f"{model._meta.db_table}: building {', '.join(names)}")
                    restore_indexes(model)
        except (LegacyImportError, DuplicateDocumentsError) as error:
            raise CommandError(str(error)) from None
        if not found:
            self.stdout.write(f"Nothing is missing ({len(apps.get_models())} models).")
