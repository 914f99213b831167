"""Where datasets are: listed, pinned as they were listed, and remembered by digest."""
