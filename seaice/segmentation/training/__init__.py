"""Training of segmentation networks on patches, in one or several processes."""
