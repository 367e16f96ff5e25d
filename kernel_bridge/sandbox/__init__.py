"""The sandbox of kernels: users' code reaches nothing but its own session.

What runs in the kernel's own process before the kernel does (standard library only, loaded by path by the shim):
`limits` (what it may use, and as whom), `entry` (the order of it all), `roots`, `capabilities`, `landlock`, `seccomp`,
`syscalls`. What the host needs to say what is wanted: `settings`, `mounts`, `interpreter`, `plan`, `probe`,
`sandboxes`.
"""
