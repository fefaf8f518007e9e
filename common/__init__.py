"""What every package uses: aspect ratios, atomic writes, image files, progress bars, and how a command runs."""
