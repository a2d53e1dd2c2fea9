"""Days of a cube straight into arrays: where they lie, how they are fetched, what they become.

A *source* holds the days of one variable: chunks of a file (:mod:`.tiles`), an array in
memory or mapped from the disk (:mod:`.arrays`), or whatever the NetCDF library can read.
Every source answers the same question, :class:`.frames.FrameRequest`.
"""
