"""JSON-RPC over HTTP: the door. Knows no kernels and no SQL."""
