"""PURE. Environments: rollouts, from a release or a person's request to what serves."""
