"""Object stores on real servers: `make test-s3`."""
