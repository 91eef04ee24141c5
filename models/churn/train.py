"""What the churn model may become: the families that the search draws from, and the plain one it must not lose to."""

from slipway.models.families import gradient_boosting, logistic_regression, random_forest, xgboost

SEARCH = (logistic_regression(), random_forest(), gradient_boosting(), xgboost())
BASELINE = logistic_regression()
