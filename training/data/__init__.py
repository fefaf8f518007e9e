"""Real images on their way to the discriminator."""
