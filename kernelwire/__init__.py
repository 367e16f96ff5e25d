"""kernelwire: JSON-RPC 2.0 over HTTP to live Jupyter kernels."""

__version__ = "0.1.0"
