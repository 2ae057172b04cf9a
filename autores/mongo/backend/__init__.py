"""Database backend: ``ENGINE = "autores.mongo.backend"``, django-mongodb-backend with repairs."""
