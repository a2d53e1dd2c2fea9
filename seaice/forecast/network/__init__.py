"""The reference network: increments that are added to the last day, and its training."""
