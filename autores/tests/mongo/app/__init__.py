"""Models of no meaning, to try the database backend on; installed by the conftest next door."""
