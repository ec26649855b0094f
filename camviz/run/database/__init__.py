"""What a run remembers: every job, image, raw map and file, in one SQLite file of its output folder."""
