"""Patches and scenes as samples with names, for trainers and samplers of other libraries."""
