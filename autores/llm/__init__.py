"""The model client: one call that drafts an answer, typed answers and typed failures.

Plain Python: no Django, no Celery, no database.
"""
