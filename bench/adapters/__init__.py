"""The systems that are compared, one module each; each class fits bench.protocol.System."""
