"""Measure the server beside a minimal server on the same SDK, a plain httpx loop and comparable servers.

`python -m benchmarks --help` lists the options. Everything runs on loopback. `upstream.py` answers model calls,
`driver.py` and `http_driver.py` are the clients, `installs.py` installs other servers, `servers.py` and `peers.py` know
how to start each, `scenarios.py` measures one process, `rounds.py` repeats that in turn, and the rest reports.
"""
