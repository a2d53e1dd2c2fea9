"""The gap-free daily cube: consolidation and the files it is stored in."""
