"""Architectures, and trained generators on disk. Knows no loss, optimiser, device, data format or HTTP."""
