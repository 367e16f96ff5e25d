"""`kernelwire doctor`: what this machine lacks for a service to run well, and how to mend it. Nothing is changed."""
