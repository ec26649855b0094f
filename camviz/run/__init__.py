"""Run commands over many images: listing, batches, the run database, figures, resume."""
