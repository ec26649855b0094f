"""Output of a run: files that appear complete under their final names, in a locked folder."""
