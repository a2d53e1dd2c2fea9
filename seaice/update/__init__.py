"""The daily run that keeps a cube current: fetch, append, index, pictures, report, alarm."""
