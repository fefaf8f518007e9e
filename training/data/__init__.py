"""Real images: loading them in batches, augmentation and instance noise."""
