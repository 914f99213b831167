"""`python -m controller.cli` runs the command line without its installed script."""

from controller.cli import main

main(prog_name="headgate")
