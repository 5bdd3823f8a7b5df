"""Declarations of projects, schemas, metrics and bundles.

The only side effects here are reading and writing a bundle's files.
"""
