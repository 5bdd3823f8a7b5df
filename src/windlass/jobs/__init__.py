"""Jobs: long work that is requested, watched and cancelled here.

Workers run it (`windlass.workflows`).
"""
