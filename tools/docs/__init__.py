"""The documentation: pages generated from the program, and the pictures of all pages."""
