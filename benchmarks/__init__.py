"""Measurements beside other libraries; `make bench` runs them. Never part of the tests."""
