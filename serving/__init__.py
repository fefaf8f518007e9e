"""The HTTP service: models from disk, pictures out. Knows of the project only `models`."""
