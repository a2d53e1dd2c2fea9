"""Fetching files by HTTP: retries, mirrors, resumed files, manifests."""
