"""Train the bundled demo model and draw its sample images."""
