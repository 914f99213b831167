"""Stand-ins for services that tests cannot reach: real servers with real state, held to the service's own rules."""
