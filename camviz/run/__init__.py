"""Doing it for many images: inputs, names, files, and the count of what happened."""
