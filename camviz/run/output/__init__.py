"""What a run writes: files that are complete under their final names, in a folder of its own."""
