"""The commands of `kernelwire`, a module each: `add` puts one on the parser, and what it runs comes with the call.

What a command needs is imported when it runs: the shell asks for the parser at each TAB.
"""
