"""Passwords of a stack: generated once, kept in files that only their owner reads."""

import os
import secrets
from pathlib import Path

from pydantic import SecretStr


def password(home: Path, name: str) -> SecretStr:
    """Return the password ``name`` of the stack, generating it when there is none yet."""
    folder = home / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    draft = folder / f".{name}.{os.getpid()}"
    if not path.exists():
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(24))  # hexadecimal: needs no quoting in URLs, .env and configuration files
        try:
            os.link(draft, path)  # of two commands at once, the first one's password stays
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return SecretStr(path.read_text().strip())
