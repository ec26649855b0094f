"""Build the table of architecture signatures that ships in `camviz.models.signatures`."""
