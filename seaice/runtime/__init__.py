"""How work runs and how its outputs are written: threads, processes, atomic files. No science."""
