"""What performance claims are made with: kernelwire against raw 0MQ, in one interleaved run, as ratios.

python -m bench        or: make bench
"""
