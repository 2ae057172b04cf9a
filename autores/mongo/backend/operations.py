from django_mongodb_backend import operations


class DatabaseOperations(operations.DatabaseOperations):
    compiler_module = "autores.mongo.backend.compiler"

    def prep_for_iexact_query(self, x: str) -> str:
        """As it is: our ``iexact`` escapes it. Django's own is for LIKE, and with its backslashes
        no text with ``_``, ``%`` or ``\\`` would be found.
        """
        return x
