"""`python -m controller.cli`: the command line without its script."""

from controller.cli import main

main(prog_name="headgate")
