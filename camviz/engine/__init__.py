"""What runs a network and reads evidence out of it."""
