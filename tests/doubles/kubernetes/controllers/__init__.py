"""What watches objects and acts on them: Jobs, Deployments, Services, garbage, queues, gateways."""
