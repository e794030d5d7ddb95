"""Shows a dashboard of the activity log; see docs/dashboard.md."""
