"""Files by the digest of their content: what artifacts and copies of datasets are kept in."""
