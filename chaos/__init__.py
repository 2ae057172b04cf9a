"""Pull every plug of a running Autores, then let an independent checker compare what came of it.

``python -m chaos`` starts a deployment of its own on the sandbox, works it, and breaks things;
``python -m chaos.checker`` reads the sandbox and the database, and nothing else.
"""
