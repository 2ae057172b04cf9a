from django.apps import AppConfig


class MongoAppConfig(AppConfig):
    name = "autores.tests.mongo.app"
    label = "mongo_app"
