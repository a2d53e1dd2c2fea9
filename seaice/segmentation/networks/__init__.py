"""Networks for segmentation, by name."""
