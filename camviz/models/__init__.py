"""Models: where they come from, their layers, their preprocessing."""
