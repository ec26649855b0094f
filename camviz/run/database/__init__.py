"""What a run remembers: every job, picture, raw map and file, in one SQLite file of its output folder."""
