"""Network architectures, and trained generators on disk. No losses, optimizers, data formats or HTTP in here."""
