"""A stand-in X and a stand-in OpenAI, over real HTTP, for the demo and the tests.

Nothing that runs in production imports this package: the product only knows its base URLs.
Facts about X come from its published documentation and OpenAPI documents; where those are silent
the module that decides says so.
"""
