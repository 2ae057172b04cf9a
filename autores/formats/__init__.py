"""How dates are shown: one unambiguous form, 24 hours, UTC."""
