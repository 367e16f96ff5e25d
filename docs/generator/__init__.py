"""Writes what is made from the code: openapi/*.json and docs/reference/*.md. `python -m docs.generator`."""
