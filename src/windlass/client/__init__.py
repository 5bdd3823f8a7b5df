"""The client of a server, `windlass.Client` and `windlass.AsyncClient`; it needs httpx (`windlass-ml[client]`)."""
