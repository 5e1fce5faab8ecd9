"""Superset's settings: where its own state is, and its secrets, each from its file."""

from pathlib import Path


def secret(name: str) -> str:
    """The text of a mounted secret."""
    return Path("/run/secrets", name).read_text(encoding="utf-8").strip()


SECRET_KEY = secret("superset_secret_key")
SQLALCHEMY_DATABASE_URI = f"postgresql+psycopg2://superset:{secret('superset_password')}@database/superset"
