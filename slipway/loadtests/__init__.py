"""Load: the load test that a candidate must pass, and the live traffic that a rollout is watched under.

Locust and gevent patch the interpreter they are imported into, so nothing here imports them but
:mod:`slipway.loadtests.users` and :mod:`slipway.loadtests.locust_process`, which only a Locust process loads.
"""
