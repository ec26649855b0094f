"""How fast and how good the methods are, beside the most used peers: `python -m tests.benchmarks --help`."""
