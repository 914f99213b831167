"""PURE. Runs: their graph, their plan, and what moves them."""
