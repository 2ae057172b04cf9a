"""Looks stored mentions up on X again, and removes what was deleted there."""
