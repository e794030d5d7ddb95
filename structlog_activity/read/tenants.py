"""
A read is of one tenant, or says aloud that it crosses all of them.
"""

from __future__ import annotations

from typing import Final


class AllTenants:
    """The type of `ALL_TENANTS`, of which there is one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ALL_TENANTS"

    def __reduce__(self) -> str:
        return "ALL_TENANTS"


ALL_TENANTS: Final = AllTenants()
"""Say aloud that a read crosses tenants."""
