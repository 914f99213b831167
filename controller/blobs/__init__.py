"""Content-addressed storage: files by the digest of their content, for artifacts and datasets."""
