"""The container engine, for every module here."""

from tests.container.conftest import engine_url

__all__ = ["engine_url"]
