"""Autores works the mentions of a team's X accounts: polled, drafted, approved, answered once."""
