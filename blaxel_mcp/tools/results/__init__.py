"""The shape of an answer in a tool result: pure functions from JSON values to smaller ones.

Nothing is changed in place. Parts that stay the same are the same objects in the result, so
a JSON Pointer into the shaped value picks the same place in the complete answer.
"""
