"""What the MongoDB backend of Django lacks: indexes, transactions, reads, health."""
