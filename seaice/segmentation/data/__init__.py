"""SAR scenes cut into patches, and their labels and splits."""
