"""Evaluation of networks and the study of data efficiency."""
