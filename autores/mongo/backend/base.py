from django_mongodb_backend import base


class DatabaseWrapper(base.DatabaseWrapper):
    """The connection of django-mongodb-backend, with the parts that Autores repairs."""
