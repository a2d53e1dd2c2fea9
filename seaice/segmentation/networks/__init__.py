"""Networks for segmentation, by name, with their checkpoints and devices."""
