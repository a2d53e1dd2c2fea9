"""Folders of daily concentration files."""
