"""Kernels in milliseconds: a process that has everything imported forks one for each launch (Linux).

The host's side is ForkServers in `servers`, of whom each ForkServer in `client` is one process. What that process runs
(`server` and the modules that it loads) is the standard library's, run by path in the kernelspec's interpreter.
"""
