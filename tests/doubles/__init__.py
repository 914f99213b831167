"""Stand-ins for services that tests cannot reach: real servers, with state and rules."""
