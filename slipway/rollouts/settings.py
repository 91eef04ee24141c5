"""Where the edge and the controller are."""

from pydantic import Field

from slipway.settings import Settings

# Below the project's home: the edge's files, and the secret that the controller asks for.
EDGE_FOLDER = "edge"
TOKEN_NAME = "controller-token"  # noqa: S105  the name of the file that holds it


class RolloutsSettings(Settings):
    """The edge that users ask and the controller that moves its weights."""

    edge_url: str = Field("http://127.0.0.1:8080", alias="SLIPWAY_EDGE_URL", description="address of the edge")
    edge_admin_url: str = Field(
        "http://127.0.0.1:9901", alias="SLIPWAY_EDGE_ADMIN_URL", description="address of Envoy's own interface"
    )
    controller_url: str = Field(
        "http://127.0.0.1:8090", alias="SLIPWAY_CONTROLLER_URL", description="address of the rollouts controller"
    )
