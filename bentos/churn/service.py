"""The churn service: answers from the bundle that is packaged beside this file."""

from pathlib import Path

from slipway.bentos import Application, bento_service

app = Application(Path(__file__).with_name("bundle"))
Churn = bento_service("churn", app)
