"""Locust patches the interpreter that imports it, so pytest's search for doctests must stay out of these."""

collect_ignore = ["locust_process.py", "users.py"]
