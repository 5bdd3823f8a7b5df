"""Authenticates callers by API keys: roles, key store, keys of the environment, failed attempts."""
