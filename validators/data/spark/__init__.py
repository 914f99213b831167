"""Great Expectations on Spark: suites for data that is too large for one machine."""
