"""What the MongoDB backend of Django lacks: usable indexes, real transactions, fast reads, health."""
