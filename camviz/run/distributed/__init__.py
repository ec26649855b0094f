"""Runs on several processes or machines: independent shards, and Ray."""
