"""The run database: every job, image, raw map and file, in one SQLite file of the output folder."""
