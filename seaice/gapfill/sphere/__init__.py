"""Gap filling on the sphere: spherical harmonics and scattering statistics."""
