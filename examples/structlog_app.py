"""
Shows the main job: structlog calls that carry a verb become a feed.

    python examples/structlog_app.py
"""

from __future__ import annotations

import structlog

from structlog_activity import ActivityLog, acting_as


def main() -> None:
    """Change some settings as two users, then read who did what."""
    with ActivityLog("sqlite://") as activity:
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                activity.processor,
                structlog.processors.JSONRenderer(),
            ]
        )
        log = structlog.get_logger()
        for user, theme in (("ana", "dark"), ("bob", "light")):
            with acting_as(user, tenant_id="acme"):
                log.info(
                    "theme changed", verb="settings.updated", object="settings:theme", to=theme
                )
        log.info("an ordinary log line")

        activity.flush()
        for record in activity.feed(tenant_id="acme").records:
            print(record.data["_raw"]["actor_id"], record.verb, record.data["to"])
        print(activity.stats(tenant_id="acme").by_verb)


if __name__ == "__main__":
    main()
