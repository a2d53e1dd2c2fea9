"""What all networks share: the device they run on, their checkpoints, functions that make own ones."""
