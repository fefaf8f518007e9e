"""The HTTP service: models from disk, images out. Of the project, it imports only `models` and `common`."""
