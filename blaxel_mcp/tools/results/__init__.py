"""What an answer looks like in a tool's result: pure functions from JSON values to smaller ones.

Nothing is changed in place. What stays as it was is the same object in the shaped value, so
a pointer into the one leads to the same place in the other.
"""
