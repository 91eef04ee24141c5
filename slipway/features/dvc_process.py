"""What runs in a process of its own to store a file: ``python -m slipway.features.dvc_process FILE REPOSITORY``."""

import sys

from dvc.exceptions import DvcException
from dvc.repo import Repo


def store(file: str, repository: str) -> None:
    """Add a file of a repository and push it to the default remote."""
    with Repo(repository) as repo:
        repo.add(file)
        repo.push(targets=[file])


if __name__ == "__main__":
    try:
        store(*sys.argv[1:])
    except (DvcException, OSError) as error:
        sys.exit(str(error))
