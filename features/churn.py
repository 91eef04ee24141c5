"""Customers of a telecom company: what each one has booked, pays, and whether they left (IBM's Telco churn schema).

The shares and means are those of IBM's sample of 7,043 customers; a file far from them is refused.
"""

from datetime import UTC, datetime

from slipway.features import Column, DType, Entity, FeatureSet, FillBlank, RowView, Source, features_of


def yes_no(name: str, yes: float) -> Column:
    return Column.category(name, {"No": 1 - yes, "Yes": yes})


def internet_extra(name: str, *, no: float, yes: float) -> Column:
    return Column.category(name, {"No internet service": 0.217, "No": no, "Yes": yes})


telco = Source(
    name="telco",
    description="one row per customer, a snapshot of the billing system",
    key="customerID",
    # The file carries no times, so all of its rows are of one moment: the quarter that IBM's sample describes.
    snapshot_time=datetime(2018, 9, 30, tzinfo=UTC),
    columns=(
        Column.category("gender", {"Female": 0.495, "Male": 0.505}),
        Column(name="SeniorCitizen", dtype=DType.BOOL, shares={"1": 0.162}),
        yes_no("Partner", 0.483),
        yes_no("Dependents", 0.300),
        Column(name="tenure", dtype=DType.INT64, at_least=0, at_most=600, mean=32.4, sd=24.6, description="months"),
        yes_no("PhoneService", 0.903),
        Column.category("MultipleLines", {"No phone service": 0.097, "No": 0.481, "Yes": 0.422}),
        Column.category("InternetService", {"No": 0.217, "DSL": 0.344, "Fiber optic": 0.440}),
        internet_extra("OnlineSecurity", no=0.497, yes=0.287),
        internet_extra("OnlineBackup", no=0.438, yes=0.345),
        internet_extra("DeviceProtection", no=0.439, yes=0.344),
        internet_extra("TechSupport", no=0.493, yes=0.290),
        internet_extra("StreamingTV", no=0.399, yes=0.384),
        internet_extra("StreamingMovies", no=0.395, yes=0.388),
        Column.category("Contract", {"Month-to-month": 0.550, "One year": 0.209, "Two year": 0.241}),
        yes_no("PaperlessBilling", 0.592),
        Column.category(
            "PaymentMethod",
            {
                "Electronic check": 0.336,
                "Mailed check": 0.229,
                "Bank transfer (automatic)": 0.219,
                "Credit card (automatic)": 0.216,
            },
        ),
        Column(name="MonthlyCharges", dtype=DType.FLOAT64, at_least=0, at_most=1_000, mean=64.8, sd=30.1),
        Column(name="TotalCharges", dtype=DType.FLOAT64, at_least=0, at_most=600_000, mean=2_280, sd=2_267),
        yes_no("Churn", 0.265),
    ),
    repairs=(
        FillBlank(
            column="TotalCharges",
            value=0.0,
            where={"tenure": 0},
            note="a customer in the first month has not been billed yet",
        ),
    ),
)

customer = Entity(name="customer", description="a customer, found by customerID")

customer_profile = RowView(
    name="customer_profile",
    description="the customer as the billing system knows them",
    entity=customer,
    source=telco,
    features=features_of(telco, [column.name for column in telco.columns if column.name != "Churn"]),
    # No ttl: the snapshot is of 2018 and stays the newest there is.
)

churn = FeatureSet(
    name="churn",
    description="what the churn model reads",
    view=customer_profile,
    features=tuple(feature.name for feature in customer_profile.features),
)
