"""Put this folder on the path, so that every test can import `helpers`; settings are in ../conftest.py."""
