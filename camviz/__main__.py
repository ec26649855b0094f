"""`python -m camviz`."""

from camviz.cli.app import main

main()
