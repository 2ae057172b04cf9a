"""Autores as it is deployed: real processes, told what to do over HTTP. Start at test_story.py."""
