"""Users, passwords and tokens. Knows no JSON-RPC and no kernels."""
