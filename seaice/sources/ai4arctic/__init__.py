"""AI4Arctic scenes: Sentinel-1 SAR, AMSR2 and ice charts."""
