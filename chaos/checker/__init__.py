"""Compares what X has with what Autores stored; shares no code with either.

It reads the sandbox over its control API and MongoDB by its driver, and knows of Autores only the
names of collections and fields.
"""
