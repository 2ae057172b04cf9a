import django_mongodb_backend


def test_repairs_fit_when_the_backend_is_the_version_they_were_written_for() -> None:
    # Pipelines, indexes and commits lean on parts that are not its public API: before
    # raising this, read what changed in query, schema, indexes, base and transaction.py.
    assert django_mongodb_backend.__version__ == "5.2.4"
