from django.db import models
from django_mongodb_backend.fields import ObjectIdAutoField

from autores.mongo.indexes import TTLIndex, UniqueIndex


def _string_key() -> models.CharField:
    return models.CharField(primary_key=True, max_length=36, db_column="_id")


class Shop(models.Model):
    id = _string_key()
    name = models.CharField(max_length=50, unique=True)
    number = models.IntegerField(unique=True)
    nickname = models.CharField(max_length=50, unique=True, null=True)

    class Meta:
        app_label = "mongo_app"


class Order(models.Model):
    id = _string_key()
    shop = models.ForeignKey(Shop, models.CASCADE, related_name="orders")
    partner = models.ForeignKey(Shop, models.SET_NULL, null=True, related_name="+")
    status = models.CharField(max_length=10)
    amount = models.IntegerField()
    note = models.CharField(max_length=20, null=True)
    created_at = models.DateTimeField()
    reference = models.CharField(max_length=10)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "mongo_app"
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="order_created"),
            models.Index(fields=["status", "-created_at"], name="order_status_created"),
            TTLIndex(fields=["expires_at"], seconds=0, name="order_expires"),
            UniqueIndex(fields=["reference", "status"], name="order_reference_status"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["shop", "reference"], name="order_shop_reference"),
            models.UniqueConstraint(
                fields=["amount"], condition=models.Q(status="paid"), name="order_paid_amount"
            ),
            models.UniqueConstraint(fields=["partner", "note"], name="order_partner_note"),
        ]


class Line(models.Model):
    id = ObjectIdAutoField(primary_key=True)
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    text = models.CharField(max_length=20)
    position = models.IntegerField()

    class Meta:
        app_label = "mongo_app"
        unique_together = [("order", "position")]
