"""What a network predicts: its heads, their labels, losses and probabilities."""
