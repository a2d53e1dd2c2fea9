"""Health of a day: findings that make it suspicious beside the days around it."""
