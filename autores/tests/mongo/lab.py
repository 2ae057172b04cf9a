"""A collection to try schema changes on."""

from typing import Any

from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState

TABLE = "schema_lab_thing"


def indexes_of(table: str) -> dict[str, Any]:
    return connection.database[table].index_information()


def unique_on(table: str, *columns: str) -> dict[str, Any]:
    """The one unique index on ``columns``."""
    found = [
        index | {"name": name}
        for name, index in indexes_of(table).items()
        if [column for column, _ in index["key"]] == list(columns) and index.get("unique")
    ]
    assert len(found) == 1, found
    return found[0]


def unique_name(**options: Any) -> models.Field:
    return models.CharField(max_length=20, unique=True, **options)


def build_state(name: models.Field | None = None, **options: Any) -> ProjectState:
    state = ProjectState()
    fields = [
        ("id", models.CharField(primary_key=True, max_length=36, db_column="_id")),
        ("name", name or models.CharField(max_length=20)),
        ("kind", models.CharField(max_length=20, default="k")),
    ]
    migrations.CreateModel("Thing", fields, options=options).state_forwards("schema_lab", state)
    return state


class Lab:
    """A collection that migration operations are applied to."""

    def __init__(self) -> None:
        self.state = ProjectState()
        connection.database.drop_collection(TABLE)

    def create(self, name: models.Field | None = None, *, rows: int = 3, **options: Any) -> None:
        self.state = build_state(name, **options)
        with connection.schema_editor() as editor:
            editor.create_model(self.model)
        for n in range(rows):
            self.model.objects.create(id=f"t{n}", name=f"name {n}")

    @property
    def model(self) -> type[models.Model]:
        return self.state.apps.get_model("schema_lab", "Thing")

    def apply(self, operation: Any) -> None:
        after = self.state.clone()
        operation.state_forwards("schema_lab", after)
        with connection.schema_editor() as editor:
            operation.database_forwards("schema_lab", editor, self.state, after)
        self.before, self.state = self.state, after

    def revert(self, operation: Any) -> None:
        with connection.schema_editor() as editor:
            operation.database_backwards("schema_lab", editor, self.state, self.before)
        self.state = self.before
