"""Counts and scores of water and ice maps, of networks and of baselines that need no network."""
