"""From a cube to samples for PyTorch."""
