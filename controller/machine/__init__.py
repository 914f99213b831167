"""PURE. The machines: state, observation, messages and time in, a decision out."""
