"""The system that Autores replaces, as its plan would have it: FastAPI, Beanie, uvicorn.

Only what the comparison asks of it: reading and changing messages. As in the original, nothing asks
who is calling.
"""
