"""Doing it for many pictures: inputs, names, files, and the count of what happened."""
