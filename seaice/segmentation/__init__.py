"""Water and ice in SAR scenes: fetching, patches, splits, labels, models."""
