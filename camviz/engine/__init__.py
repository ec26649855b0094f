"""What runs a model and reads evidence out of it."""
