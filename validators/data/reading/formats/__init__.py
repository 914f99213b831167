"""The formats of files: each module reads one into `ObjectContents`."""
