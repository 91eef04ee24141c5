"""Users of the churn service: account managers who look one customer up after the other."""

from slipway.loadtests.users import PredictById


class AccountManager(PredictById):
    """Asks for customers by id, at the pace that ``[load]`` in ``bentos/churn/bento.toml`` sets."""
