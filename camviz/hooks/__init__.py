"""What is attached to a module for one forward pass, and removed again."""
