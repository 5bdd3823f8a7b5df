"""HTTP/1.1 connections under uvicorn, and the event loop that drains them."""
