"""Faults that a model name can ask for, such as `fault-429`."""
