"""What every package uses: whole files, image files, aspect ratios, how a command ends."""
