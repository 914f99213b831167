"""PURE. Environments: rollouts, from a release or a wish to what serves."""
