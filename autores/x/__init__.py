"""The X API client: plain Python over requests, with no knowledge of Django or of our domain."""
