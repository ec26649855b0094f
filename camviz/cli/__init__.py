"""The command line: one file per command, shared options, errors in two lines."""
