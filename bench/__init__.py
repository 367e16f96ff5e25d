"""What performance claims are made with: kernelwire beside raw 0MQ and its peers, in interleaved rounds, as ratios.

python -m bench        or: make bench, which writes docs/performance.md too
"""
